"""Networks: what harness asks of any segmentation model, its own U-Net, the models of two libraries, and weights."""
