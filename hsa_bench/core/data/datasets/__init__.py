"""One data set a file: each defines `DATASET: DatasetSpec`; the file's name is the data set's."""
