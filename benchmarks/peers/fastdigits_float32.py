"""fastdigits on the float32 images that the other contenders get: what it is worth to take uint8 pixels."""

import fastdigits_fit

if __name__ == "__main__":
    fastdigits_fit.main("float32")
