"""FastAPI: a picture in, its classes out. An endpoint that is no coroutine runs in a pool of threads, so requests run at once.

    pip install 'fastconv[servers,vision]'
    MODEL=net.onnx uvicorn --app-dir examples/servers fastapi_app:app
    curl -F picture=@cat.jpg http://127.0.0.1:8000/classify

Without MODEL it is the network for digits that fastconv has.
"""

import os
import threading

from fastapi import FastAPI, HTTPException, UploadFile

import fastconv
from fastconv import vision

MOST_BYTES = 10_000_000
PATIENCE = 5.0  # seconds

app = FastAPI()
model = fastconv.load(os.environ.get("MODEL", fastconv.data.DIGITS))
model.plan()  # packs the weights before the first request
slots = threading.Semaphore(model.threads)  # more calls at once would only take more memory


@app.post("/classify")
def classify(picture: UploadFile):
    if picture.size > MOST_BYTES:
        raise HTTPException(413, f"more than {MOST_BYTES:,} bytes")
    if not slots.acquire(timeout=PATIENCE):
        raise HTTPException(503, "too many requests at once")
    try:
        pixels = vision.read(picture.file)
    except fastconv.InputError as error:
        raise HTTPException(400, str(error)) from None
    else:
        return vision.classify(model, pixels).as_dict()
    finally:
        slots.release()
