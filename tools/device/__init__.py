"""`make device`: is the suite right, and is it fast, on the accelerator of this node? See docs/device.md."""
