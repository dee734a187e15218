"""A report to be made of an evaluation by bicubic interpolation, and its page taken apart."""

import base64
import json
from html.parser import HTMLParser

import cv2
import numpy as np

from evaluation.options import EvaluationOptions
from utils.options import validate

BICUBIC = {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}}
AGAIN = {"name": "Bicubic again", "generator": {"type": "bicubic", "scale": 2}}
VOID = {"meta", "link", "input", "img", "br", "path", "use"}


class Page(HTMLParser):
    """A page as a list of elements (tag, attributes, text inside), each closed where it was opened."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), attributes
        element = {"tag": tag, **dict(attributes), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, **dict(attributes), "text": ""})

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [
            element
            for element in self.elements
            if element["tag"] == tag and all(element.get(name) == value for name, value in attributes.items())
        ]


def options(results, folder, models=(BICUBIC, AGAIN), **values):
    return validate(
        {
            "name": "run",
            "results": str(results),
            "scale": 2,
            "models": list(models),
            "datasets": [{"name": "photos", "hr": str(folder), "compressions": ["jpeg10", "jpeg40", "webp20"]}],
            "device": "cpu",
            **values,
        },
        EvaluationOptions,
        "test",
    )


def data_of(page):
    """What each slider shows."""
    return [json.loads(e["text"]) for e in page.all("script", type="application/json") if "id" not in e]


def decoded(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
