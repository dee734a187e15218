"""From image files to batches: codecs, resizing, prepared stores, sampling. Never imports a network."""
