"""MEGA-Bench's official parsers and metrics, run apart: in processes and with packages of their own.

`worker`, `metrics`, `arithmetic` and `sandbox` run there and import the standard library and the official metrics
alone; `process` starts and watches such a worker from here.
"""
