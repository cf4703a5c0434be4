"""Small trees in exactly the formats that ImageNet and its shifts are published in."""

import io
import json

import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
# tench, goldfish, great white shark … crane (bird), analog clock, digital clock, missile, projectile, sunglasses
CLASSES = {
    0: "n01440764",
    1: "n01443537",
    2: "n01484850",
    10: "n01530575",
    134: "n02012849",
    409: "n02708093",
    530: "n03196217",
    657: "n03773504",
    744: "n04008634",
}


def picture(size=(40, 30), border=0):
    pixels = rng.integers(0, 200, (size[1], size[0], 3), dtype=np.uint8)
    if border:
        frame = np.zeros_like(pixels)
        frame[:, :, 0] = 255  # red
        frame[border:-border, border:-border] = pixels[border:-border, border:-border]
        pixels = frame
    return Image.fromarray(pixels)


def save(path, **arguments):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(**arguments).save(path)


def write_folders(folder, names, n, ending="JPEG"):
    for name in names:
        for i in range(n):
            save(folder / name / f"{name}_{i}.{ending}")


def write_objectnet(folder):
    """Two classes of ImageNet's, one of which is two there, and one that ImageNet does not have."""
    for name in ("alarm_clock", "fish", "air_freshener"):
        for i in range(3):
            save(folder / "images" / name / f"{i}.png", border=2)
    (folder / "mappings").mkdir()
    label_of = {"alarm_clock": "Alarm clock", "fish": "Fish", "air_freshener": "Air freshener"}
    texts = ["digital clock", "tench, Tinca tinca", "analog clock", "goldfish, Carassius auratus"]
    numbers = [530, 0, 409, 1]  # the usual numbers of the ids 0 to 3 of 2012
    files = {
        "folder_to_objectnet_label.json": json.dumps(label_of),
        "objectnet_to_imagenet_1k.json": json.dumps({"Alarm clock": f"{texts[2]}; {texts[0]}", "Fish": texts[3]}),
        "pytorch_to_imagenet_2012_id.json": json.dumps({str(n): i for i, n in enumerate(numbers)}),
        "imagenet_to_label_2012_v2": "\n".join(texts) + "\n",
    }
    for name, content in files.items():
        (folder / "mappings" / name).write_text(content)


def write_vid_robust(folder):
    """Two videos, an anchor frame each, three neighbours in all; the second anchor shows two things."""
    frames = {
        "val/a/0.JPEG": [0],
        "val/a/1.JPEG": [0],
        "val/a/2.JPEG": [0],
        "val/b/0.JPEG": [1, 0],
        "val/b/1.JPEG": [1],
    }
    for name in frames:
        save(folder / name)
    save(folder / "val/b/9.JPEG")  # in no neighbourhood
    files = {
        "metadata/labels.json": frames | {"val/b/9.JPEG": [1]},
        "metadata/pmsets.json": {"val/a/1.JPEG": ["val/a/0.JPEG", "val/a/2.JPEG"], "val/b/0.JPEG": ["val/b/1.JPEG"]},
        "misc/imagenet_vid_class_index.json": {"0": ["n02", "fish"], "1": ["n01", "clock"]},
        "misc/rev_wnid_map.json": {"n02": ["n01440764", "n01443537"], "n01": ["n02708093"]},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def write_ytbb_robust(folder):
    """Four anchors: one good with two like neighbours and an unlike one, one good alone, one unsure, one bad in a pair."""
    for name in ("v_1/frame-4.jpg", "v_1/frame-5.jpg", "v_1/frame-6.jpg", "v_1/frame-7.jpg", "w_2/frame-1.jpg"):
        save(folder / "ytbb_videos" / name)
    labels = ["good", "bad", "unsure", "fish", "clock"]
    anchors = [
        ("x/v_1/frame-5.jpg", [0]),
        ("w_2/frame-1.jpg", [0, 3]),
        ("u_3/frame-1.jpg", [0, 2]),
        ("b_4/frame-1.jpg", [0]),
    ]
    pairs = [
        ("v_1/frame-5.jpg,v_1/frame-4.jpg", [0]),
        ("v_1/frame-5.jpg,v_1/frame-6.jpg", [0, 1]),
        ("v_1/frame-5.jpg,v_1/frame-7.jpg", [0]),
        ("b_4/frame-1.jpg,b_4/frame-2.jpg", [2]),
    ]

    def notes(names, rows):
        return json.dumps({"labels": names, "annotations": [{"key": key, "labels": found} for key, found in rows]})

    files = {
        "anchor_labels.json": notes(labels, anchors),
        "pmk_labels.json": notes(["similar", "blur-increase", "bad-anchor"], pairs),
        "ytbb_class_index.json": json.dumps({"0": "fish", "1": "clock", "2": "person"}),
        "rev_class_idx_map.json": json.dumps({"0": [0, 1], "1": [409]}),
        "ytbb_robustness_test_anchors_full.csv": "ytid,time_ms,label\nv,1,1\nw,2,1\nu,3,0\nb,4,0\n",
    }
    (folder / "metadata").mkdir()
    for name, content in files.items():
        (folder / "metadata" / name).write_text(content)


def write_all(root):
    write_folders(root / "imagenet/train", CLASSES.values(), 20)
    write_folders(root / "imagenet/val", CLASSES.values(), 2)
    write_folders(root / "imagenetv2-matched-frequency-format-val", map(str, CLASSES), 2, "jpeg")
    write_folders(root / "imagenet-r", list(CLASSES.values())[1:4], 2, "jpg")
    write_folders(root / "imagenet-a", list(CLASSES.values())[5:7], 2, "jpg")
    write_folders(root / "sketch", CLASSES.values(), 2)
    write_objectnet(root / "objectnet-1.0")
    write_vid_robust(root / "imagenet_vid_ytbb_robust/imagenet-vid-robust")
    write_ytbb_robust(root / "imagenet_vid_ytbb_robust/ytbb-robust")
    return root


def write_shards(folder, n=2, each=30):
    """With webdataset's own writer."""
    import webdataset

    folder.mkdir(parents=True)
    images, labels = [], []
    for shard in range(n):
        with webdataset.TarWriter(str(folder / f"imagenet1k-train-{shard:04d}.tar")) as sink:
            for i in range(each):
                content, label = io.BytesIO(), list(CLASSES)[i % len(CLASSES)]
                picture().save(content, "PNG")
                images.append(content.getvalue())
                labels.append(label)
                sink.write({"__key__": f"s{shard}/{i:04d}", "png": content.getvalue(), "cls": label})
    return images, labels
