"""A page made of synthetic results, and what tests ask of it."""

import csv
from dataclasses import replace
from html.parser import HTMLParser

import synthetic_results as made
from tinymia.report.render import render
from tinymia.study.results import RESULTS, load, to_json, write_json


def read_back(out):
    """As read from a file, which keeps six decimals."""
    write_json(out / RESULTS, to_json(made.results()))
    return load(out)


def text_of(path):
    return path.read_text(encoding="utf-8").replace("\u00a0", " ")


def plain(text):
    return text.replace("\u00a0", " ")


def section(page, name):
    start = page.index(f'<section id="{name}">')
    return page[start : page.index("</section>", start)]


def rows(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of_membership(results, **changes):
    finding = replace(results.findings.membership, **changes)
    return replace(results, findings=replace(results.findings, membership=finding))


def of_context(results, **changes):
    return replace(results, context=replace(results.context, **changes))


def shown(results, tmp_path):
    return text_of(render(results, tmp_path))


class Resources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids, self.open, self.inside = [], [], [], []
        self.unlabelled = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        links = [attrs[k] for k in ("src", "href", "srcset", "data", "style") if k in attrs]
        self.inside += [link[1:] for link in links if link.startswith("#")]
        self.found += [link for link in links if not link.startswith("#")]
        self.found += [name for name in attrs if name.startswith("on")]
        if tag in ("script", "link", "iframe", "object", "img"):
            self.found.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "svg" and not attrs.get("aria-hidden") and not attrs.get("aria-labelledby"):
            self.unlabelled += 1
        if tag == "th":
            assert attrs.get("scope") in ("row", "col")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Resources()
    parser.feed(page)
    assert parser.open == []
    return parser
