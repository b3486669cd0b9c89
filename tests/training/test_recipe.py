"""Recipes: the shipped ones start, impossible ones are refused in one sentence."""

import time
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from bitreid.errors import DataWarning, SettingsError
from bitreid.training.checkpoint import Position
from bitreid.training.recipe import Recipe, load_recipe, make_recipe, recipe_path, settings
from bitreid.training.run import train
from bitreid.training.task import task_from
from tests.training.tiny import Recorder

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
SMALL = ["identities_per_batch=2", "pictures_per_identity=2", "held_out_identities=2"]


class Enough(Exception):
    """Two steps were made."""


def stop_after_two(position: Position) -> None:
    if position.step == 2:
        raise Enough


def test_the_recipes_are_there_and_have_names_of_their_own() -> None:
    assert {"drawn_tiny", "ssr_resnet50_market"} <= {path.stem for path in RECIPES}
    names = [load_recipe(str(path)).name for path in RECIPES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_starts(path: Path, people: Path, tmp_path: Path) -> None:
    # Published ResNet weights would have to be fetched; those of Lite0 come with a package.
    offline = ["weights=none"] if load_recipe(str(path)).network.backbone.startswith("resnet") else []
    recipe = load_recipe(str(path), SMALL + offline)
    recorder = Recorder(stop_after_two)
    with pytest.raises(Enough):
        train(recipe, task_from(recipe, people, None), tmp_path / "run", recorder)
    assert [(epoch, step) for epoch, step, _ in recorder.steps] == [(0, 1), (0, 2)]
    effective = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8"))
    assert make_recipe(effective) == recipe


def test_a_recipe_is_found_by_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe("drawn_tiny") == load_recipe(str(recipe_path("drawn_tiny").resolve()))
    (tmp_path / "mine.yaml").write_text("name: mine\n", encoding="utf-8")
    assert load_recipe("mine.yaml") == Recipe(name="mine")
    with pytest.raises(SettingsError, match=r"one of drawn, drawn_lite0, drawn_tiny, .*, got 'mine'"):
        load_recipe("mine")


def test_overrides_change_single_settings() -> None:
    changed = load_recipe("drawn_tiny", ["network.n_bits=512", "learning_rate=2e-3", "input.mean=[0, 0, 0]"])
    assert (changed.network.n_bits, changed.learning_rate, changed.input.mean) == (512, 2e-3, (0, 0, 0))
    back = {"network.n_bits": 2048, "learning_rate": 1e-3, "input.mean": [0.5, 0.5, 0.5]}
    plain = load_recipe("drawn_tiny", [f"{name}={value}" for name, value in back.items()])
    assert plain == load_recipe("drawn_tiny"), "nothing else changes"


def test_an_override_makes_a_group_that_the_file_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("name: short\n", encoding="utf-8")
    assert load_recipe(str(tmp_path / "short.yaml"), ["losses.ssr_weight=3"]).losses.ssr_weight == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.n_bits", "as name=value, .* got 'network.n_bits'"),
        ("network.n_bitz=512", r"network.n_bitz: there is no such setting, got 512 \(did you mean network.n_bits\?\)$"),
        ("n_bits=512", r"n_bits: there is no such setting, got 512 \(did you mean network.n_bits\?\)$"),
        ("ssr_wieght=2", r"ssr_wieght: there is no such setting, got 2 \(did you mean losses.ssr_weight\?\)$"),
        ("epoch=3", r"epoch: there is no such setting, got 3 \(did you mean epochs\?\)$"),
        ("weather=3", "weather: there is no such setting, got 3$"),
        ("netwerk.n_bits=512", r"netwerk: there is no such setting \(did you mean network\?\)$"),
        ("name.short=1", "'name' in 'name.short=1' to be a group of settings"),
        ("network.n_bits=[1", r"a value in YAML in 'network.n_bits=\[1'"),
        ("input.hight=96", r"input.hight: there is no such setting, got 96 \(did you mean input.height\?\)"),
        ("input.height=tall", "input.height: .* integer, .*got 'tall'"),
        ("input.resize=nearest", "expected colour_order 'RGB' and resize 'bilinear', got 'RGB' and 'nearest'"),
        ("network.n_bits=100", "network.n_bits: .* multiple of 32, got 100"),
        ("network.relaxation=softsign", "network.relaxation: .*'hardsigmoid'.*, got 'softsign'"),
        ("epochs=0", "epochs: .* greater than or equal to 1, got 0"),
        ("epochs=soon", "epochs: .* integer, .*got 'soon'"),
        ("learning_rate=.nan", "learning_rate: .* finite number, got nan"),
        ("learning_rate=.inf", "learning_rate: .* finite number, got inf"),
        ("input.std=[0.5, 0, 0.5]", r"expected input.std above 0, got \(0.5, 0.0, 0.5\)"),
        ("warmup_epochs=99", "expected warmup_epochs below epochs, got 99.0 and 10"),
        ("seed=-1", "seed: .* got -1"),
        ("seed=4294967296", "seed: .* got 4294967296"),
    ],
)
def test_an_impossible_override_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        load_recipe("drawn_tiny", [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: [open", "a recipe in YAML at .*bad.yaml"),
        (b"\xff\xfe\x00", "a recipe in YAML at .*bad.yaml"),
        (b"- a\n- b\n", "settings with names in .*bad.yaml, got list"),
        (b"", "settings with names in .*bad.yaml, got NoneType"),
        (b"epochs: 3\n", "name: this setting is missing"),
        (
            b"name: x\nepoch: 3\nseeds: 4\n",
            r"epoch: there is no such setting, got 3 \(did you mean epochs\?\); seeds: there is no such setting",
        ),
    ],
)
def test_a_bad_file_is_refused_by_name(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=message) as error:
        load_recipe(str(path))
    assert "\n" not in str(error.value)


def test_every_setting_is_listed_with_its_default_and_its_meaning() -> None:
    listed = {setting.name: setting for setting in settings()}
    assert all(setting.meaning for setting in listed.values())
    assert len(listed) == len(settings())
    assert listed["network.n_bits"].value == 2048
    assert listed["input.height"].meaning == "Rows of pixels; a multiple of 16 times the network's number of stripes."
    assert listed["optimiser"].choices == ("adamw", "sgd")
    assert listed["name"].value is None
    # Each can be set, to its own default.
    values = [f"{name}={yaml.safe_dump(setting.value)}" for name, setting in listed.items() if name != "name"]
    values = [value.replace("\n...\n", "") for value in values]
    assert load_recipe("drawn_tiny", [*values, "name=x"]) == Recipe(name="x")
    tiny = {setting.name: setting.value for setting in settings(load_recipe("drawn_tiny"))}
    assert tiny.keys() == listed.keys()
    assert (tiny["network.backbone"], tiny["input.mean"]) == ("resnet18", [0.5, 0.5, 0.5])


def test_what_an_older_recipe_says_of_its_data_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("name: old\nlicence: MIT\nlicence_text: ''\n", encoding="utf-8")
    with pytest.warns(DataWarning, match="passing over licence in .*old.yaml: .* `bitreid train --licence`"):
        assert load_recipe(str(path)) == Recipe(name="old")


def undocumented(settings: type[BaseModel]) -> list[str]:
    names = []
    for name, field in settings.model_fields.items():
        names += [] if field.description else [name]
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += [f"{name}.{each}" for each in undocumented(field.annotation)]
    return names


def test_every_setting_says_what_it_is() -> None:
    assert undocumented(Recipe) == []


BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" if i else "a0: &a0 [x, y]" for i in range(12))


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        f"{BOMB}\nname: *a11\nepochs: *a11",
        "name: 2026-99-99",
        "name: !!timestamp soon",
        "epochs: !!int many",
        "name: !!python/object/apply:os.system [ls]",
        "epochs: &a [*a]",
        "input: " + "[" * 5000,
        "? [a, b]\n: 1",
        "\x00",
        "name: x\nepochs: '" + "9" * 400_000 + "'",
    ],
)
def test_hostile_recipes_are_refused_in_one_short_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.process_time()
    with pytest.raises(SettingsError) as refused:
        load_recipe(str(path))
    assert len(str(refused.value)) < 5000
    assert time.process_time() - start < 5


def test_brackets_are_counted_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: " + "[" * 31, encoding="utf-8")
    with pytest.raises(SettingsError, match="brackets stand more than 30 deep"):
        load_recipe(str(path))
    with pytest.raises(SettingsError, match="brackets stand more than 30 deep"):
        load_recipe("drawn_tiny", ["epochs=" + "{a: " * 31])


def test_an_override_that_is_no_value_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected a value in YAML in 'epochs=2026-99-99'"):
        load_recipe("drawn_tiny", ["epochs=2026-99-99"])
