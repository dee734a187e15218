"""Does training on the device do what it should: in every precision, resumed, and when it fails?"""
