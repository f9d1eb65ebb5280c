"""fastdigits on the float32 images of the other contenders, to show the gain of uint8 pixels."""

import fastdigits_fit

if __name__ == "__main__":
    fastdigits_fit.main("float32")
