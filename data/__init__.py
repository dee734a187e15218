"""From image files to batches: codecs, resizing, prepared stores, sampling, evaluation sets, downloads."""
