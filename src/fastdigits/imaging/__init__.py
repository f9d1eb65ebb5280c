"""From a photograph or scan to images like those of MNIST: the sheet, the ink, the digits."""
