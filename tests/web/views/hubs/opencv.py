"""Read pictures with OpenCV; run by a test in an environment of its own: opencv.py URL."""

import sys

import cv2

capture = cv2.VideoCapture(sys.argv[1])
levels = []
for _ in range(8):
    is_read, picture = capture.read()
    assert is_read, "no picture"
    levels.append(f"{picture.shape[1]}x{picture.shape[0]}:{int(picture.mean())}")
capture.release()
sys.stdout.write(" ".join(levels) + "\n")
