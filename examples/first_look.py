# %% [markdown]
# # A first look
# Cells of a notebook, for Jupyter (by jupytext) or an editor that knows `# %%`; also a script. Photos of creatures
# stand for yours: `wsol.train("bas", "photos", ...)` takes a folder of class folders.

# %%
import wsol
from wsol.cli.demo import WEIGHTS
from wsol.data import Creatures

photos, held_back = Creatures("train", images=360, body_hint=1.0), Creatures("val", images=60, body_hint=1.0)
photos.image(0)

# %% [markdown]
# Train on class labels alone. The network began with other creatures, as people begin with ImageNet.

# %%
run = wsol.train(
    "bas", (photos, held_back), "runs/first_look", recipe="demo", weights=WEIGHTS, epochs=2, workers=0, resume=True
)

# %% [markdown]
# What is in a photo, and where? A result shows itself; so does each of several.

# %%
new = Creatures("test", images=24, body_hint=1.0)
results = wsol.locate(run, [new.image(index) for index in range(12)])
print(results[0].name, results[0].score, results[0].boxes)
results[0]

# %% [markdown]
# The same heatmap, cut at another share of its peak; the network is not asked again.

# %%
for threshold in (0.1, 0.3, 0.5):
    print(threshold, results[0].at(threshold).boxes.round().tolist())

# %% [markdown]
# Where another way of asking looks.

# %%
for readout in ("own", "gradcam", "pc1"):
    (result,) = wsol.locate(run, new.image(0), readout=readout)
    print(readout, result.boxes.round().tolist())

# %% [markdown]
# How good is it? These photos have true boxes. CentreBox never moves from the middle.

# %%
figures = wsol.evaluate(run, new)
print({name: round(figures[name], 1) for name in ("Top1Cls", "MaxBoxAcc", "GTKnownLoc")})
print("CentreBox", round(figures["CentreBox"]["GTKnownLoc"], 1))
