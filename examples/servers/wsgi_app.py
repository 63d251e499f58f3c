"""gunicorn: a plain WSGI app in several processes, which share the weights.

    pip install 'fastconv[servers]'
    MODEL=net.onnx gunicorn --preload --workers 4 --chdir examples/servers wsgi_app:app
    curl --data-binary @input.f32 http://127.0.0.1:8000 -o output.f32

The body of a request is the float32 of one input, that of the response those of the output. --preload loads the model once,
before gunicorn forks its workers. Without MODEL it is the network for digits that fastconv has.
"""

import math
import os

import numpy as np

import fastconv

model = fastconv.load(os.environ.get("MODEL", fastconv.data.DIGITS), threads=1)  # of each worker
model.plan()  # packs the weights: before the fork, so that they are shared
shape = (1, *model.inputs[0].shape[1:])


def app(environ, start_response):
    body = environ["wsgi.input"].read(4 * math.prod(shape) + 1)  # no more than shows that it is too long
    try:
        y = model(np.frombuffer(body, np.float32).reshape(shape))
    except ValueError as error:  # NumPy's, and fastconv.InputError
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [str(error).encode()]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [y.tobytes()]
