"""Makes the models of these tests, with their inputs and TensorFlow's own answers, in a folder.

Run as a program: TensorFlow must not come into the process of the other tests, where triton's
compiler would crash beside it.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

OUT = Path(sys.argv[1])
draw = np.random.default_rng(0)


def keep(name, model, feeds, answers):
    """A ``.keras`` file, samples by input name, and what the model answers."""
    model.save(OUT / f"{name}.keras")
    np.savez(OUT / f"{name}.npz", **feeds)
    np.savez(OUT / f"{name}_answers.npz", **{k: np.asarray(v) for k, v in answers.items()})


def digits():
    """A small CNN, trained: channels last, as Keras has them."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = (found.images[..., None] / 16).astype("float32"), found.target
    model = keras.Sequential([
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, name="logits"),
    ])  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[:1400], y[:1400], batch_size=64, epochs=6, verbose=0)
    right = float((model(x[1400:]).numpy().argmax(1) == y[1400:]).mean())
    assert right > 0.85, right
    keep("digits", model, {"image": x[:32]}, {"logits": model(x[:32], training=False)})


def two_inputs():
    """Two inputs, two outputs, each with a name of its own."""
    image, meta = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="meta")
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Concatenate()([x, meta])
    scores = keras.layers.Dense(5, name="scores")(x)
    value = keras.layers.Dense(1, activation="sigmoid", name="value")(x)
    model = keras.Model([image, meta], [scores, value])
    feeds = {
        "image": draw.normal(size=(6, 8, 8, 3)).astype("float32"),
        "meta": draw.normal(size=(6, 4)).astype("float32"),
    }
    answers = model([feeds["image"], feeds["meta"]], training=False)
    keep("two_inputs", model, feeds, dict(zip(("scores", "value"), answers, strict=True)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (OUT / "two_inputs.tflite").write_bytes(converter.convert())
    freeze(model)


def freeze(model):
    """The graph with constants for weights, as TensorFlow 1 kept models."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec(x.shape, x.dtype, x.name) for x in model.inputs]
    call = tf.function(lambda image, meta: model([image, meta], training=False))
    frozen = convert_variables_to_constants_v2(call.get_concrete_function(*specs))
    tf.io.write_graph(frozen.graph.as_graph_def(), str(OUT), "frozen.pb", as_text=False)


def lstm():
    """Sequences whose length varies."""
    sequence = keras.Input((None, 6), name="sequence")
    x = keras.layers.LSTM(8, return_sequences=True)(sequence)
    x = keras.layers.Bidirectional(keras.layers.GRU(4))(x)
    model = keras.Model(sequence, keras.layers.Dense(2, name="y")(x))
    x = draw.normal(size=(6, 12, 6)).astype("float32")
    keep("lstm", model, {"sequence": x}, {"y": model(x, training=False)})


class Texts(tf.Module):
    """Text in, numbers and text out; and another signature, which takes numbers."""

    def __init__(self):
        super().__init__()
        words = tf.constant(["lab", "model", "server"])
        values = tf.lookup.KeyValueTensorInitializer(words, tf.constant([1, 2, 3], tf.int64))
        self.table = tf.lookup.StaticHashTable(values, -1)
        self.weight = tf.Variable(tf.range(5, dtype=tf.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify(self, text):
        length = tf.strings.length(text, unit="UTF8_CHAR")
        return {"known": self.table.lookup(text), "length": length, "upper": tf.strings.upper(text)}

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32, name="x")])
    def embed(self, x):
        return {"sum": tf.reduce_sum(x * self.weight, axis=1)}


def texts():
    module = Texts()
    tf.saved_model.save(
        module, str(OUT / "texts"),
        signatures={"classify": module.classify, "embed": module.embed},
    )  # fmt: skip


def code_inside():
    """A file with Python code in it."""
    keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda t: t * 2)]).save(
        OUT / "lambda.keras"
    )


def odd_names():
    """A graph whose names are no identifiers, and would become the same one."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        one, two, three = (
            v1.placeholder("float32", [None, 2], name=n) for n in ("a/b", "a_b", "a.b")
        )
        tf.add(one, 10 * two, name="out/sum")
        tf.subtract(two, three, name="out.sum")
    tf.io.write_graph(graph.as_graph_def(), str(OUT), "odd_names.pb", as_text=False)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    for make in (digits, two_inputs, lstm, texts, code_inside, odd_names):
        make()
