"""Texts go through the same rooms as images: the reader, a sentence encoder, a new head, LoRA, the command that measures."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
import torch

from wiseft_nb import FineTuneConfig, WiseftError, evaluate, fine_tune, load_benchmark, paired, sweep, wise_ft
from wiseft_nb.analyse.lora import adapted, merged, with_lora
from wiseft_nb.benchmarks import Benchmark, sentiment
from wiseft_nb.benchmarks.texts import Texts
from wiseft_nb.make import text_models as command
from wiseft_nb.make.broken import with_head
from wiseft_nb.models.sentences import SentenceEncoder, Tokens, phrase_head, sentence_classifier

transformers = pytest.importorskip("transformers", reason='text models need transformers: pip install -e ".[text]"')
PHRASES = {"negative": ("bad", "awful"), "positive": ("good", "fine")}


def letters(text, padding, truncation, max_length):
    """Stands for a tokenizer: a number a letter."""
    ids = [1 + ord(letter) % 60 for letter in text][:max_length]
    rest = [0] * (max_length - len(ids))
    return {"input_ids": ids + rest, "attention_mask": [1] * len(ids) + rest}


@pytest.fixture(scope="module")
def start():
    config = transformers.BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    encoder = SentenceEncoder(transformers.BertModel(config, add_pooling_layer=False)).eval()
    return sentence_classifier(encoder, Tokens(letters, 12), PHRASES)


@pytest.fixture(scope="module")
def words():
    texts = Texts([f"{word} {i}" for i in range(20) for word in ("dull", "kind")], [0, 1] * 20)
    return Benchmark("words", tuple(PHRASES), ("{}",), texts, texts, texts, {"few": texts.subset(slice(10))})


@pytest.fixture(scope="module")
def end(start, words):
    return fine_tune(start, words, FineTuneConfig(epochs=3, lr=3e-3, batch_size=8), progress=False)


def test_texts_go_through_fine_tune_sweep_and_evaluate_unchanged(start, end, words):
    table = sweep(start, end, words, [0, 0.5, 1], progress=False, groups={"all": ["few"]}).set_index(
        ["alpha", "dataset"]
    )
    for alpha in (0.0, 0.5, 1.0):
        found = evaluate(wise_ft(start, end, alpha), words.reference, progress=False)
        assert table.accuracy[alpha, "reference"] == found.accuracy()
    assert table.accuracy[1.0, "reference"] > table.accuracy[0.0, "reference"]
    assert paired(found, found).difference == 0


def test_padding_does_not_count(start):
    short, long = start.collate(["bad"]), start.collate(["bad", "a long text"])
    assert torch.allclose(start(short), start(long)[:1], atol=1e-5)
    assert not torch.allclose(start(short), start(long)[1:], atol=1e-5)


def test_a_head_from_phrases_has_the_scale_and_needs_phrases(start):
    head = phrase_head(start.image_encoder, start.preprocess, list(PHRASES.values()), scale=7.0)
    assert torch.allclose(head.norm(dim=1), torch.full((2,), 7.0), atol=1e-4)
    with pytest.raises(WiseftError, match="list of phrases"):
        phrase_head(start.image_encoder, start.preprocess, ["this is bad", ["good"]])
    with pytest.raises(WiseftError, match="reads texts"):
        start.collate([3])


def test_what_the_command_says_along_alpha_is_what_each_model_says(start, end, words):
    """Autocast keeps cast weights: with its cache, every alpha would answer with the first one's."""
    said = command.in_bfloat16(start, end, words.reference, [0.0, 0.5, 1.0])
    for alpha, predictions in said.items():
        with torch.autocast("cpu", torch.bfloat16):
            alone = evaluate(wise_ft(start, end, alpha), words.reference, progress=False)
        assert torch.allclose(predictions.logits, alone.logits, atol=1e-3)
    assert not torch.allclose(said[0.0].logits, said[1.0].logits, atol=0.1)


def test_a_new_head_begins_knowing_nothing_and_is_kept_along_the_path(start, words):
    first, again = (command.random_head(start, 3).classification_head.weight for _ in range(2))
    assert torch.equal(first, again) and torch.allclose(first.norm(dim=1), torch.full((2,), 20.0), atol=1e-4)
    tuned = fine_tune(command.random_head(start, 3), words, FineTuneConfig(epochs=1, lr=1e-3), progress=False)
    kept = wise_ft(with_head(start, tuned), tuned, 0.3)
    assert torch.equal(kept.classification_head.weight, tuned.classification_head.weight)


def test_the_scale_of_an_adapter_is_alpha(start, words):
    pytest.importorskip("peft")
    targets = command.attention(start.image_encoder)
    assert len(targets) == 4, "query and value of two layers"
    lora = with_lora(start, r=2, targets=targets, train_head=False)
    lora = fine_tune(lora, words, FineTuneConfig(epochs=2, lr=1e-2, batch_size=8), progress=False)
    between = evaluate(wise_ft(start, merged(lora, start), 0.3), words.reference, progress=False).logits
    for _, layer in adapted(lora):
        layer.scaling["default"] *= 0.3
    scaled = evaluate(lora, words.reference, progress=False).logits
    assert torch.allclose(between, scaled, atol=1e-4)
    assert not torch.allclose(between, evaluate(start, words.reference, progress=False).logits, atol=1e-4)


# ------------------------------------------------------------------------------- the reader


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """In the format of the source distribution: an archive inside an archive, made-up ratings."""
    rng = np.random.default_rng(0)
    films = [f"{i}\t{rng.choice([-2.0, 2.0, 0.1])}\tfilm number {i}" for i in range(300)]
    others = [f"{i // 3 + 1}_{i % 3 + 1}\t{(-1) ** i * 1.5}\tsentence {i}" for i in range(60)]
    files = {name: others for name in sentiment.FILES.values()} | {"movieReviewSnippets": films}
    files["tweets"] = [*others, "61\t-2.0\tFilm, NUMBER 7!", "62\t2.0\tsentence tweeted"]

    def packed(contents):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as tar:
            for name, content in contents.items():
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
        return made.getvalue()

    inner = {f"hutto_ICWSM_2014/{n}_GroundTruth.txt": "\n".join(rows).encode() for n, rows in files.items()}
    content = packed({sentiment.INNER: packed(inner)})
    path = sentiment.archive_of(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(sentiment, "DIGEST", f"sha256:{hashlib.sha256(content).hexdigest()}")
    for name, size in {"TRAIN": 40, "VAL": 20, "TEST": 30}.items():
        monkeypatch.setattr(sentiment, name, size)
    return path


def test_the_reader_splits_without_a_text_on_two_sides(archive, tmp_path):
    found = load_benchmark("sentiment", root=tmp_path)
    sets = {"train": found.train, "val": found.val, **found.test_sets}
    assert {name: len(texts) for name, texts in sets.items()}["train"] == 40 and list(found.shifts) == list(
        sentiment.ABOUT
    )[1:]
    for texts in sets.values():
        assert 2 * texts.labels.sum() == len(texts), "as many of either class"
    words = [sentiment.words_of(text) for texts in sets.values() for text in texts.texts]
    assert len(words) == len(set(words))
    assert "Film, NUMBER 7!" not in found.shifts["tweets"].texts, "a copy of a film snippet, but for capitals"
    again = load_benchmark("sentiment", root=tmp_path, shifts="products")
    assert again.train.texts == found.train.texts and list(again.shifts) == ["products"]


def test_sentences_of_one_review_are_drawn_together_and_no_two_domains_share_one(archive, tmp_path):
    found = load_benchmark("sentiment", root=tmp_path)
    sources = [set(texts.source) for texts in found.test_sets.values()]
    assert len(set.union(*sources)) == sum(map(len, sources))
    assert len(sources[1]) < len(found.shifts["products"])


def test_another_file_a_damaged_one_and_none_are_refused_in_a_sentence(archive, tmp_path):
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-100])
    with pytest.raises(WiseftError, match="digest is another"):
        load_benchmark("sentiment", root=tmp_path)
    archive.write_bytes(b"no archive")
    with pytest.raises(WiseftError, match="cannot be read"):
        load_benchmark("sentiment", root=tmp_path, complete=False)
    archive.unlink()
    with pytest.raises(WiseftError, match=r"wiseft_nb\.make\.sentiment"):
        load_benchmark("sentiment", root=tmp_path)


def test_texts_are_texts():
    with pytest.raises(WiseftError, match="one a text"):
        Texts(["a"], [0, 1])
    with pytest.raises(WiseftError, match="no text"):
        Texts(["a", 3], [0, 1])
    few = Texts(["a", "b", "c"], [0, 1, 0], [5, 6, 7]).subset([2, 0])
    assert few.texts == ["c", "a"] and few.source.tolist() == [7, 5]
