"""Our service as shipped, with the orders of `examples/shop`."""

import gc

gc.disable()  # as in wsgi.py
from app import create_app  # noqa: E402
from app.features import FEATURES  # noqa: E402
from examples import shop  # noqa: E402

app = create_app(features=(*FEATURES, shop))
gc.freeze()
gc.enable()
