"""Pages from templates: what they show is escaped, and what they lack is an error."""

import json

import jinja2
import pytest

from fastdigits.core import pages


def made(tmp_path, source, **values):
    template = tmp_path / "page.html.jinja"
    template.write_text(source, encoding="utf-8")
    return pages.render(template, **values)


def test_text_and_attributes_are_escaped(tmp_path):
    page = made(tmp_path, '<b title="{{ a }}">{{ a }} {{ b }}</b>', a="\"1\" < '2' & <i>", b=1.5)
    shown = "&#34;1&#34; &lt; &#39;2&#39; &amp; &lt;i&gt;"
    assert page == f'<b title="{shown}">{shown} 1.5</b>'


def test_what_a_macro_or_a_block_made_is_escaped_once(tmp_path):
    source = "{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}{% set c %}{{ b(a) }}{% endset %}{{ c }}"
    assert made(tmp_path, source, a="<\0>") == r"<b>&lt;\x00&gt;</b>"


def test_json_cannot_end_the_element_that_holds_it(tmp_path):
    names = ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "&amp;'\"\u2028"]
    page = made(tmp_path, '<script type="application/json">{{ names | tojson }}</script>', names=names)
    inner = page.removeprefix('<script type="application/json">').removesuffix("</script>")
    assert not set("<>&\u2028") & set(inner)
    assert json.loads(inner) == names


@pytest.mark.parametrize("source", ["{{ missing }}", "{{ known.missing }}", "{% if missing %}{% endif %}"])
def test_a_name_that_was_not_given_is_an_error(tmp_path, source):
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        made(tmp_path, source, known={})
