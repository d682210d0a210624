"""Published methods, one file each, in a folder per modality."""
