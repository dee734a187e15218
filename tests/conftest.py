"""What several tests need: small photographs, a prepared store, a CUDA device without a GPU."""

import signal
from contextlib import contextmanager

import cv2
import pytest
import skimage.data
import torch
from torch._subclasses.fake_tensor import FakeTensorMode  # private imports of torch stand in this file alone
from torch.utils._python_dispatch import TorchDispatchMode

from utils.images import write_png


@pytest.fixture(autouse=True, scope="session")
def heeded_interrupts():
    """A shell starts jobs in the background with SIGINT ignored, and the programs that tests start inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def few_threads():
    torch.set_num_threads(2)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def photos():
    """Crops of photographs by name, uint8 RGB; odd sizes among them."""
    return {
        "astronaut": skimage.data.astronaut()[40:200, 140:300],
        "coffee": skimage.data.coffee()[120:279, 200:361],
        "chelsea": skimage.data.chelsea()[60:188, 90:219],
    }


@pytest.fixture(scope="session")
def photo_folder(photos, tmp_path_factory):
    """The photographs as PNG files. Shared: not to be written to."""
    folder = tmp_path_factory.mktemp("photos")
    for name, photo in photos.items():
        write_png(folder / f"{name}.png", photo)
    return folder


@pytest.fixture
def fake_cuda():
    """A context in which `device="cuda"` exists without a GPU and autocast is on for it.

    Nothing is computed: tensors have shapes, types and devices only. Modules must be made inside it, on "cuda". A
    tensor left on the CPU raises, and so does reading a value (`.item()`).
    """

    @contextmanager
    def context():
        with FakeTensorMode():
            before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
            # Entering torch.autocast would look for a real GPU and turn itself off.
            torch.set_autocast_enabled("cuda", True)
            torch.set_autocast_dtype("cuda", torch.bfloat16)
            try:
                yield
            finally:
                torch.set_autocast_enabled("cuda", before[0])
                torch.set_autocast_dtype("cuda", before[1])

    return context


@pytest.fixture
def largest_tensor():
    """A context manager whose `elements` tells the size of the largest tensor that any operation inside returned."""

    class LargestTensor(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for value in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(value, torch.Tensor):
                    self.elements = max(self.elements, value.numel())
            return result

    return LargestTensor
