"""Parts that several data sets share: archives, folders and files of images, the check of a loaded set."""
