"""The model server of the bundle: one process, one queue, one model.

It stands alone: nothing here imports the advisor, and a bundle ships this package as it is.
"""

SERVER_VERSION = "1.0.0"
