"""Wrong specs with the character that their error points at, and what it says."""

from __future__ import annotations

from toys import MINIMAL

HERE = "@@"
"""Stands in a spec where its error must point."""


def base(line: str) -> str:
    """Return the minimal spec with the section of this line in place of its own, or added."""
    section = line.replace(HERE, "").partition(":")[0].strip()
    kept = [text for text in MINIMAL.splitlines() if not text.startswith(f"  {section}:")]
    kept.insert(kept.index("base:") + 1, f"  {line}")
    return "\n".join(kept) + "\n"


def top(lines: str) -> str:
    """Return the minimal spec with these lines added at its top level."""
    return MINIMAL + lines + "\n"


def variants(lines: str) -> str:
    """Return the minimal spec with these variants added."""
    return MINIMAL + "\n".join(f"  {line}" for line in lines.splitlines()) + "\n"


def change(setting: str) -> str:
    """Return the minimal spec with a variant that has this in its `set`."""
    return variants(f"changed:\n  set:\n    {setting}")


def designed(lines: str) -> str:
    """Return the minimal spec with a variant of three components and these lines in it."""
    components = "components: {w: {model.width: 4}, v: {optimizer.lr: 0.5}, u: {train.epochs: 2}}"
    return variants("\n".join(["a:", *(f"  {line}" for line in [components, *lines.splitlines()])]))


WRONG = {
    # the text is no strict YAML
    "empty": (HERE, ["nothing in it"]),
    "only a comment": (f"{HERE}# later\n", ["nothing in it"]),
    "a list": (f"{HERE}- study\n", ['["study"] was given', "mapping"]),
    "two documents": (top(f"{HERE}---\nstudy: other"), ["second document"]),
    "tab": (MINIMAL + f"{HERE}\tother: {{}}\n", ["tab", "spaces"]),
    "unclosed bracket": (f"study: [toy\nquestion{HERE}: x\n", ["not valid YAML"]),
    "duplicate key": (top(f"{HERE}study: toy"), ["study", "written twice", ":1:1"]),
    "duplicate setting": (base(f"optimizer: {{name: toy_descent, lr: 0.1, {HERE}lr: 0.2}}"), ["lr", "written twice"]),
    "alias": (top(f"notes: {HERE}*other"), ["aliases", "like"]),
    "anchor": (base(f"train: {HERE}&t {{epochs: 1}}"), ["anchors", "write the value out"]),
    "merge key": (base(f"train: {{{HERE}<<: {{epochs: 1}}}}"), ["base.train", "merge keys", "like"]),
    "python tag": (
        top(f"notes: {HERE}!!python/object/apply:os.system ['true']"),
        ["tags (!!python/object/apply:os.system)", "plain value"],
    ),
    "own tag": (top(f"notes: {HERE}!env HOME"), ["!env", "plain value"]),
    "binary": (top(f"notes: {HERE}!!binary aGk="), ["tags"]),
    "Windows path": (f'study: "C:\\{HERE}data"\n', ["backslash", "single quotes"]),
    "Windows path of a user": (f'study: "C:\\U{HERE}sers"\n', ["backslash", "single quotes"]),
    "bad escape": (f'study: "\\U{HERE}FFFFFFFF"\n', ["cannot be read"]),
    "surrogate": (f'study: {HERE}"\\ud800"\n', ["U+D800", "remove it"]),
    "nul": (f'study: {HERE}"a\\0b"\n', ["U+0000", r"\0 stands for a zero byte; put a path in single quotes"]),
    "raw control character": (f"study: toy{HERE}\x01\n", ["no part of YAML"]),
    "deep": ("a: " + "[" * 30 + HERE + "[" * 9, ["30 levels"]),
    "two lines as key": (f'{HERE}"a\\nb": 1\n', ["one line"]),
    "two lines as value": (variants(f'a: {{like: {HERE}"b\\nc"}}'), ["no variant 'b\\nc'"]),
    "list as key": (f"? {HERE}[a, b]\n: 1\n", ["a key must be text"]),
    "number with a dot as key": (top(f"{HERE}1.5: x"), ["a key must be text", "'1.5'"]),
    "unknown number as key": (top(f"{HERE}7: x"), ["7", "no such key"]),
    # values that YAML 1.1 reads otherwise than they look
    "1e-3": (
        base(f"optimizer: {{name: toy_descent, lr: {HERE}1e-3}}"),
        ["base.optimizer.lr", "reads 1e-3 as text", "1.0e-3"],
    ),
    "1.0e3": (base(f"optimizer: {{name: toy_descent, lr: {HERE}1.0e3}}"), ["reads 1.0e3 as text", "write 1.0e+3"]),
    ".5E2": (base(f"optimizer: {{name: toy_descent, lr: {HERE}.5E2}}"), ["write 0.5e+2"]),
    "no": (base(f"train: {{deterministic: {HERE}no}}"), ["train.deterministic", "'no' in quotes", "or false"]),
    "on as key": (base(f"augment: {{{HERE}on: {{}}}}"), ["'on' in quotes", "or true"]),
    "y": (top(f"notes: {HERE}y"), ["'y' in quotes"]),
    "octal": (base(f"train: {{epochs: {HERE}010}}"), ["octal", "write 10"]),
    "leading zero": (base(f"train: {{epochs: {HERE}08}}"), ["octal", "write 8"]),
    "hexadecimal": (base(f"train: {{epochs: {HERE}0x10}}"), ["0x10", "decimal"]),
    "underscore": (base(f"train: {{epochs: {HERE}1_000}}"), ["1_000", "without _"]),
    "too many digits": (base(f"train: {{epochs: {HERE}1{'0' * 5000}}}"), ["18 at most"]),
    "base 60": (top(f"notes: {HERE}1:30"), ["base 60", "'1:30'"]),
    "base 60 with a dot": (top(f"notes: {HERE}1:30.5"), ["base 60"]),
    "date": (top(f"notes: {HERE}2024-05-01"), ["date", "'2024-05-01'"]),
    "infinite": (base(f"optimizer: {{name: toy_descent, lr: {HERE}.inf}}"), ["finite"]),
    "too large": (base(f"optimizer: {{name: toy_descent, lr: {HERE}1.0e+999}}"), ["too large"]),
    "nothing written": (base(f"train: {{epochs:{HERE} }}"), ["base.train.epochs", "write {}", "null"]),
    "number as text": (base(f'optimizer: {{name: toy_descent, lr: {HERE}"0.1"}}'), ['"0.1" was given', "write 0.1"]),
    # the top level
    "unknown key": (top(f"{HERE}sets: {{}}"), ["sets", "no such key", "did you mean 'seeds'"]),
    "no question": (HERE + MINIMAL.replace("question: Does it work?\n", ""), ["'question' is missing"]),
    "study is a number": (MINIMAL.replace("study: toy", f"study: {HERE}7"), ["study: 7 was given", "'7'"]),
    "study is no slug": (MINIMAL.replace("study: toy", f"study: {HERE}a/b"), ["study", '"a/b" was given', "letters"]),
    "question is a list": (MINIMAL.replace("Does it work?", f"{HERE}[a]"), ["question", "must be text"]),
    "question is blank": (MINIMAL.replace("Does it work?", f"{HERE}' '"), ["question", "must be text"]),
    "no variants": (MINIMAL.replace("\n  plain: {}", f" {HERE}{{}}"), ["variants", "at least one"]),
    "variant is null": (MINIMAL.replace("plain: {}", f"plain: {HERE}null"), ["variants.plain", "null was given", "{}"]),
    "variant name": (variants(f"{HERE}a b: {{}}"), ["'a b'", "letters"]),
    "seeds is a number": (top(f"seeds: {HERE}3"), ["seeds: 3 was given", "list", "[3]"]),
    "seeds are negative": (top(f"seeds: {HERE}[0, -1]"), ["[0, -1] was given", "from 0"]),
    "seeds are true": (top(f"seeds: {HERE}[true]"), ["[true] was given", "whole numbers"]),
    "seeds are empty": (top(f"seeds: {HERE}[]"), ["[] was given", "at least one"]),
    "seeds are equal": (top(f"seeds: {HERE}[1, 1]"), ["distinct"]),
    "reference": (top(f"compare: {{reference: {HERE}plane}}"), ["compare.reference", "did you mean 'plain'"]),
    "margin": (top(f"compare: {{margin: {HERE}5}}"), ["compare.margin", "5 was given", "0.005"]),
    "expected": (
        top(f"compare: {{expected: {HERE}1.5}}"),
        ["compare.expected", "1.5 was given", "above 0 and below 1", "0.01 for one point"],
    ),
    "expected is 0": (top(f"compare: {{expected: {HERE}0}}"), ["compare.expected", "0 was given", "above 0"]),
    "expected is true": (top(f"compare: {{expected: {HERE}true}}"), ["compare.expected", "true was given"]),
    "expected is text": (top(f"compare: {{expected: {HERE}small}}"), ["compare.expected", '"small" was given']),
    "epoch": (top(f"compare: {{epoch: {HERE}first}}"), ["compare.epoch", '"first" was given', "best or last"]),
    "split": (top(f"compare: {{split: {HERE}train}}"), ["compare.split", '"train" was given', "val or test"]),
    "looks not ascending": (
        top(f"compare: {{looks: {HERE}[5, 3]}}"),
        ["compare.looks", "[5, 3] was given", "[3, 5, 10]"],
    ),
    "looks are equal": (top(f"compare: {{looks: {HERE}[3, 3]}}"), ["compare.looks", "ascending"]),
    "looks at one seed": (top(f"compare: {{looks: {HERE}[1, 3]}}"), ["compare.looks", "2 to 1000"]),
    "looks are true": (top(f"compare: {{looks: {HERE}[true]}}"), ["compare.looks", "numbers of seeds"]),
    "looks are empty": (top(f"compare: {{looks: {HERE}[]}}"), ["compare.looks", "numbers of seeds"]),
    "compare key": (top(f"compare: {{{HERE}refrence: plain}}"), ["did you mean 'reference'"]),
    "plugin path": (top(f"plugins: [{HERE}my/lab.py]"), ["plugins.0", "module's name"]),
    "plugin absent": (top(f"plugins: [{HERE}toy_absent]"), ["toy_absent", "ModuleNotFoundError"]),
    "profile key": (top(f"profiles: {{full: {{{HERE}train: {{}}}}}}"), ["profiles.full.train", "known: set"]),
    "profile component": (
        top(f"profiles: {{full: {{components: {{{HERE}x: {{}}}}}}}}"),
        ["no such key", "known: none"],
    ),
    # parts and settings of the base
    "no loss": (
        MINIMAL.replace("  loss: {toy_entropy: {}}\n", "").replace("  data", f"  {HERE}data"),
        ["'loss' is missing"],
    ),
    "section": (base(f"{HERE}optimiser: {{name: toy_descent}}"), ["base.optimiser", "did you mean 'optimizer'"]),
    "part": (
        base(f"model: {{name: {HERE}toy_nett}}"),
        ["base.model.name", "no model is named", "did you mean 'toy_net'"],
    ),
    "part without name": (base(f"model: {HERE}{{width: 4}}"), ["base.model", "'name' is missing", "model.width"]),
    "part is text": (base(f"model: {HERE}toy_net"), ["base.model", '"toy_net" was given', "model: {name: toy_net}"]),
    "term": (base(f"loss: {{{HERE}toy_entrpy: {{}}}}"), ["base.loss.toy_entrpy", "did you mean 'toy_entropy'"]),
    "term is null": (base(f"loss: {{toy_entropy: {HERE}null}}"), ["null was given", "toy_entropy: {}"]),
    "term is a number": (base(f"loss: {{toy_entropy: {HERE}1.0}}"), ["1.0 was given", "mapping"]),
    "term with a name": (base(f"loss: {{toy_entropy: {{{HERE}name: x}}}}"), ["toy_entropy.name", "no such setting"]),
    "no terms": (base(f"loss: {HERE}{{}}"), ["base.loss", "at least one term"]),
    "setting": (base(f"model: {{name: toy_net, {HERE}widht: 4}}"), ["base.model.widht", "did you mean 'width'"]),
    "setting missing": (base(f"augment: {{toy_cut: {HERE}{{}}}}"), ["base.augment.toy_cut", "'size' is missing"]),
    "setting of wrong type": (
        base(f"model: {{name: toy_net, width: {HERE}wide}}"),
        ["base.model.width", '"wide" was given', "integer"],
    ),
    "truth for a number": (base(f"train: {{epochs: {HERE}true}}"), ["true was given", "integer"]),
    "number too small": (base(f"train: {{batch_size: {HERE}0}}"), ["base.train.batch_size", "0 was given", "greater"]),
    "item of a list": (base(f"data: {{name: toy_scenes, size: [96, {HERE}x]}}"), ["base.data.size.1", '"x" was given']),
    "nested setting": (
        base(f"train: {{early_stop: {{{HERE}pateince: 3}}}}"),
        ["early_stop.pateince", "did you mean 'patience'"],
    ),
    "group": (
        base(f"optimizer: {{name: toy_descent, lr: 0.1, multipliers: {{{HERE}bakbone: 0.1}}}}"),
        ["bakbone", "backbone or head"],
    ),
    "score": (
        base(f"evaluate: {{select_on: {HERE}miou}}"),
        ["base.evaluate.select_on", '"miou" was given', "miou_dataset"],
    ),
    "idle multiplier": (
        base("model: {name: toy_net, freeze: backbone}").replace(
            "lr: 0.1}", f"lr: 0.1, multipliers: {{{HERE}backbone: 0.1}}}}"
        ),
        ["multipliers.backbone", "no effect", "freeze: backbone"],
    ),
    "one sampling of images of many sizes": (
        base(f"train: {{epochs: 1, augment_as: {HERE}one_sampling}}").replace("toy_scenes", "toy_scenes, size: native"),
        ["train.augment_as", "images of one size", "data.size", "steps"],
    ),
    "replayed steps that add up": (
        base(f"train: {{epochs: 1, accumulate: 2, compile: {HERE}reduce-overhead}}"),
        ["train.compile", "train.accumulate: 1", "train.on_oom: fail"],
    ),
    "replayed steps that may be cut": (
        base(f"train: {{epochs: 1, on_oom: accumulate, compile: {HERE}reduce-overhead}}"),
        ["train.compile", "train.accumulate: 1", "train.on_oom: fail"],
    ),
    # variants
    "variant key": (variants(f"a: {{{HERE}sett: {{}}}}"), ["variants.a.sett", "did you mean 'set'"]),
    "parent": (variants(f"a: {{from: {HERE}plane@best}}"), ["variants.a.from", "did you mean 'plain'"]),
    "parent without @": (variants(f"a: {{from: {HERE}plain}}"), ["plain@best or plain@last"]),
    "which": (variants(f"a: {{from: {HERE}plain@first}}"), ["'first' was given", "plain@best"]),
    "circle": (
        variants(f"a: {{from: {HERE}c@best}}\nb: {{from: a@best}}\nc: {{from: b@last}}"),
        ["variants.a.from", "a -> c -> b -> a"],
    ),
    "own parent": (variants(f"a: {{from: {HERE}a@best}}"), ["a -> a"]),
    "circle of like": (variants(f"a: {{like: {HERE}b}}\nb: {{like: a}}"), ["variants.a.like", "a -> b -> a"]),
    "like nobody": (variants(f"a: {{like: {HERE}plane}}"), ["did you mean 'plain'"]),
    "unknown design": (designed(f"design: {HERE}leave_one"), ["design", "did you mean 'leave_one_out'"]),
    "unknown design of several": (
        designed(f"design: [together, {HERE}all]"),
        ["design.1", "no design 'all'", "known:"],
    ),
    "design is a number": (designed(f"design: {HERE}4"), ["4 was given", "text"]),
    "no design": (designed(f"design: {HERE}[]"), ["[] was given", "one design or more"]),
    "the same design twice": (designed(f"design: [factorial, {HERE}factorial]"), ["'factorial' is written twice"]),
    "design of nothing": (variants(f"a: {{{HERE}design: factorial}}"), ["design speaks of components", "none"]),
    "needs of nothing": (variants(f"a: {{{HERE}needs: {{}}}}"), ["needs speaks of components"]),
    "needs is a list": (designed(f"needs: {HERE}[w]"), ["needs", "mapping"]),
    "need is text": (designed(f"needs: {{w: {HERE}v}}"), ["needs.w", "list", '["v"]']),
    "need of nothing": (designed(f"needs: {{w: {HERE}[]}}"), ["needs.w", "one component or more"]),
    "need of an unknown component": (
        designed(f"needs: {{w: [{HERE}x]}}"),
        ["needs.w.0", "no component 'x'", "w, v, u"],
    ),
    "unknown component needs": (designed(f"needs: {{{HERE}x: [w]}}"), ["needs.x", "no such key", "known: w, v, u"]),
    "unknown component excluded": (designed(f"excludes: {{w: [v, {HERE}vv]}}"), ["excludes.w.1", "did you mean 'v'"]),
    "circle of needs": (designed(f"needs: {{w: {HERE}[v], v: [u], u: [w]}}"), ["in a circle: w -> v -> u -> w"]),
    "component needs itself": (designed(f"needs: {{w: {HERE}[w]}}"), ["in a circle: w -> w"]),
    "component excludes itself": (designed(f"excludes: {{w: [{HERE}w]}}"), ["'w' excludes itself"]),
    "needs what it excludes": (
        designed(f"design: factorial\nneeds: {{w: {HERE}[v], v: [u]}}\nexcludes: {{u: [w]}}"),
        ["'w' could never be on", "u excludes w"],
    ),
    "excluded together": (
        designed(f"excludes: {HERE}{{w: [v]}}"),
        ["w excludes v", "the design together is about all components on", "one_at_a_time or factorial"],
    ),
    "excluded in several designs": (
        designed(f"design: [factorial, leave_one_out]\nexcludes: {HERE}{{w: [v]}}"),
        ["the design leave_one_out is about"],
    ),
    "fraction with rules": (
        designed(f"design: {HERE}fractional\nneeds: {{w: [v]}}"),
        ["all of it runs", "factorial"],
    ),
    "component that never runs": (
        variants(
            f"a: {{components: {{{HERE}w: {{model.width: 4}}, v: {{optimizer.lr: 0.5}}}}, design: one_at_a_time,"
            " needs: {w: [v]}}"
        ),
        ["'w' is on in no combination", "one_at_a_time"],
    ),
    "combination with another's name": (
        variants(f"{HERE}a: {{components: {{w: {{model.width: 4}}}}, design: add_one_in}}\na-none: {{}}"),
        ["a combination of 'a' is called 'a-none'", "rename"],
    ),
    "combinations of one name": (
        variants(
            f"a: {{components: {HERE}{{b: {{model.width: 4}}, c: {{optimizer.lr: 0.5}}, b.c: {{train.epochs: 2}},"
            " d: {train.batch_size: 2}, e: {train.clip_norm: 1.0}, f: {evaluate.size: input}}, design: factorial}"
        ),
        ["two combinations would be called a-", "rename a component"],
    ),
    "from a combination that is not there": (
        designed("design: one_at_a_time").replace("variants:", f"variants:\n  b: {{from: {HERE}a@best}}"),
        ["no variant 'a'", "known: b, plain, a-none, a-only-w"],
    ),
    "circle through a combination": (
        variants(
            f"a: {{from: {HERE}b@best, components: {{w: {{model.width: 4}}}}, design: one_at_a_time}}\n"
            "b: {from: a-none@best}"
        ),
        ["a-none -> b -> a-none"],
    ),
    "reference that is not there": (
        designed("design: add_one_in") + f"compare: {{reference: {HERE}a-only-v}}\n",
        ["did you mean 'a-only-w'"],
    ),
    "empty component": (variants(f"a: {{components: {{w: {HERE}{{}}}}}}"), ["changes something"]),
    "idle component": (variants(f"a: {{components: {{{HERE}w: {{model.width: 8}}}}}}"), ["'w' changes nothing"]),
    "components that overlap": (
        variants(f"a: {{components: {{w: {{model: {{name: toy_net}}}}, v: {{{HERE}model.width: 4}}}}}}"),
        ["'w' sets model too"],
    ),
    "two meanings": (
        variants(f"a: {{components: {{w: {{model.width: 4}}}}}}\nb: {{components: {{w: {HERE}{{model.width: 5}}}}}}"),
        ["components.w", "another one", "its own name"],
    ),
    "other shapes": (
        variants(f"a: {{from: {HERE}plain@best, set: {{model.width: 4}}}}"),
        ["model.width is 4 here and 8 there"],
    ),
    "other model": (
        variants(f"a: {{from: {HERE}plain@best, set: {{model: {{name: toy_tower}}}}}}"),
        ['model.name is "toy_tower" here and "toy_net" there'],
    ),
    "other normalisation": (
        variants(f"a: {{from: {HERE}plain@best, set: {{model.weights: default}}}}"),
        ["data.normalize", "imagenet", "centered"],
    ),
    # changes
    "set is a list": (variants(f"a: {{set: {HERE}[model.width]}}"), ["variants.a.set", "mapping"]),
    "set of a section": (change(f"{HERE}modle.width: 4"), ["no section 'modle'", "did you mean 'model'"]),
    "set of a setting": (change(f"{HERE}model.widht: 4"), ["variants.changed.set.model.widht", "did you mean 'width'"]),
    "set to a wrong value": (
        change(f"optimizer.lr: {HERE}fast"),
        ["changed.set.optimizer.lr", '"fast" was given', "number"],
    ),
    "set deep in a wrong value": (
        change(f"train.early_stop: {{patience: {HERE}0}}"),
        ["early_stop.patience", "0 was given"],
    ),
    "set of a name": (change(f"{HERE}model.name: toy_tower"), ["replaced as a whole", "model: {name: toy_tower}"]),
    "set of a part without name": (change(f"optimizer: {HERE}{{lr: 0.1}}"), ["'name' is missing", "optimizer.lr"]),
    "set of a part loses a setting": (change(f"optimizer: {HERE}{{name: toy_descent}}"), ["'lr' is missing"]),
    "set into an absent term": (
        change(f"{HERE}loss.toy_overlap.smooth: 2.0"),
        ["no term 'toy_overlap'", "loss.toy_overlap: {smooth: 2.0}"],
    ),
    "removal of an absent term": (change(f"{HERE}augment.toy_mirror: null"), ["no term 'toy_mirror'", "known: none"]),
    "removal of the last term": (change("loss.toy_entropy: null").replace("loss: {", f"loss: {HERE}{{"), ["no loss"]),
    "removal of a part": (change(f"model: {HERE}null"), ["cannot be removed"]),
    "set below a number": (change(f"{HERE}optimizer.lr.backbone: 1.0"), ["nothing to set below", "0.1"]),
    "set with two dots": (change(f"{HERE}optimizer..lr: 1.0"), ["between two names"]),
    "set undone": (change(f"model.width: 4\n    {HERE}model: {{name: toy_tower}}"), ["undoes model.width"]),
}
