"""Extractors, one file each. An extractor is a frozen dataclass `PLUGIN` with

- fields that are its settings, `chip_size` (longest side of the chip, px) among them;
- class variables `REVISION` (raise it when the code's output changes), `CHANNELS` ("grey" or "rgb"), `DIMENSION`,
  `DTYPE` of its descriptors (numpy.uint8 or numpy.float32), `FRAMES` (whether it gives shapes);
- `extract(chip) -> Features` in chip pixels, sorted by falling score; no keypoint where `chip.mask` is False; a blank,
  tiny or featureless chip gives zero features. The same chip gives the same bytes.
"""
