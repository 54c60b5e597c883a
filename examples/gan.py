"""Two optimizers: a small GAN, whose two networks learn in turns to draw digits and to judge them.

    python examples/gan.py --number_of_steps=1000 --output=digits.png

The discriminator learns to tell images from drawings, the generator to be taken for an image. Each
is a train op with its own loss, optimizer and variables.
"""

import argparse

import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

import jslim as slim
from jslim.nets import dcgan

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--number_of_steps", type=int, default=1000)
parser.add_argument("--output", default="digits.png", help="where the drawings go")
args = parser.parse_args()


def draw(noise):
    return jnp.tanh(dcgan.generator(noise, depth=16, final_size=8, num_outputs=1)[0])


def judge(images, reuse=None):
    return dcgan.discriminator(images, depth=16, reuse=reuse)[0]


def discriminator_loss(batch):
    of_images = judge(batch["image"])
    of_drawings = judge(draw(batch["noise"]), reuse=True)
    slim.losses.sigmoid_cross_entropy(of_images, jnp.ones_like(of_images))
    slim.losses.sigmoid_cross_entropy(of_drawings, jnp.zeros_like(of_drawings))
    return slim.losses.get_total_loss()


def generator_loss(batch):
    of_drawings = judge(draw(batch["noise"]))
    return slim.losses.sigmoid_cross_entropy(of_drawings, jnp.ones_like(of_drawings))


def train_op(loss, scope):
    adam = optax.adam(2e-3, b1=0.5)
    return slim.learning.create_train_op(loss, adam, variables_to_train=[scope])


random = np.random.default_rng(0)
digits = slim.data.get_dataset("digits", "train")
images = np.stack([digits[index]["image"] for index in range(len(digits))]) / np.float32(127.5) - 1


def next_batch():
    chosen = random.integers(len(images), size=64)
    return {"image": images[chosen], "noise": random.standard_normal((64, 16), np.float32)}


def drawings(state):
    drawn, _ = slim.Model(draw).apply(state.variables, batch["noise"], mutable=["batch_stats"])
    distance = np.abs(np.mean(drawn, axis=0) - images.mean(axis=0)).mean()
    print(f"the average drawing is {distance:.3f} off the average digit")
    return np.asarray(drawn)


judging, drawing = (
    train_op(discriminator_loss, "Discriminator"),
    train_op(generator_loss, "Generator"),
)
batch = next_batch()
discriminator, generator = judging.init(0, batch), drawing.init(0, batch)
drawings(generator)
for step in range(1, args.number_of_steps + 1):
    batch = next_batch()
    # The variables go from one state to the other; each keeps the memory of its optimizer.
    discriminator, judged = judging(discriminator, batch)
    generator, drawn = drawing(generator.replace_variables(discriminator.variables), batch)
    discriminator = discriminator.replace_variables(generator.variables)
    if step % 100 == 0:
        print(f"step {step}  discriminator {judged['loss']:.3f}  generator {drawn['loss']:.3f}")

# Eight rows of eight, with a margin around each.
tiles = np.pad((drawings(generator)[..., 0] + 1) * 127.5, ((0, 0), (1, 1), (1, 1)))
sheet = tiles.reshape(8, 8, 10, 10).swapaxes(1, 2).reshape(80, 80).astype(np.uint8)
Image.fromarray(sheet).resize((640, 640), Image.Resampling.NEAREST).save(args.output)
