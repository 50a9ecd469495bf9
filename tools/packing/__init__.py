"""What a node without internet lacks, packed: wheels and images. See docs/device.md."""
