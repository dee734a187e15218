"""Does the device compute what the CPU and the released programs compute?"""
