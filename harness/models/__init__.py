"""Models: what harness asks of any segmentation network, its own U-Net, those of two libraries, and weights."""
