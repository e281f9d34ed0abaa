"""Import this first. torchvision's wheel is built for CUDA: without its C++ library its Python part still needs to see two operators declared."""
import torch

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
try:
    import torchvision
except RuntimeError:
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        LIBRARY.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
