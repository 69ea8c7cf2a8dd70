"""Blogs, comments and social feeds: Atom over pubsub (XEP-0277, XEP-0472, RFC 4287)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from newsstand.analysis.analysers import Analysis
from newsstand.analysis.builtin import avatar
from newsstand.analysis.builtin._atom_text import Construct
from newsstand.analysis.builtin._dates import date_time
from newsstand.analysis.builtin._geoloc import FOR_PEOPLE as GEOLOC_FOR_PEOPLE
from newsstand.analysis.builtin._geoloc import FOR_PROGRAMS as GEOLOC_FOR_PROGRAMS
from newsstand.analysis.builtin._geoloc import GEOLOC, parse_geoloc
from newsstand.analysis.builtin._more import add_more, texts_around, texts_in
from newsstand.analysis.builtin._payload import (
    JSON,
    XML_LANG,
    add,
    add_attributes,
    children,
    collapse,
    integer,
    own_text,
    payload_of,
)
from newsstand.analysis.builtin._uris import xmpp_uri

NAMESPACE = "http://www.w3.org/2005/Atom"
THREADING = "http://purl.org/syndication/thread/1.0"
NODE = "urn:xmpp:microblog:0"
COMMENTS = "urn:xmpp:microblog:0:comments/"
ENTRY = f"{{{NAMESPACE}}}entry"
FEED = f"{{{NAMESPACE}}}feed"

_LINK = f"{{{NAMESPACE}}}link"
_IN_REPLY_TO = f"{{{THREADING}}}in-reply-to"
_RELATION = "http://www.iana.org/assignments/relation/"
_TEXTS = ("title", "subtitle", "summary", "content", "rights")
_FOR_PROGRAMS = frozenset(
    (
        *(
            f"{{{NAMESPACE}}}{name}"
            for name in ["id", "updated", "published", "icon", "logo", "generator", "uri", "email"]
        ),
        "{http://activitystrea.ms/spec/1.0/}verb",
        "{http://activitystrea.ms/spec/1.0/}object-type",
        *GEOLOC_FOR_PROGRAMS,
    )
)
"""Elements that people do not read."""

WORDS = (
    *_TEXTS,
    "author.name",
    "authors.name",
    "contributors.name",
    "categories",
    *(f"geoloc.{name}" for name in GEOLOC_FOR_PEOPLE),
    "more",
)
"""The fields that people read."""


def mark_comments(analysis: Analysis) -> Analysis:
    """Gives nodes of comments the subtype `comments` (XEP-0277, 3.1)."""
    if analysis.node.startswith(COMMENTS):
        return dataclasses.replace(analysis, subtype="comments")
    return analysis


def parse_blog_and_more(item: Element, *, service: str, node: str) -> JSON:
    """As `parse_blog`, with what else a person wrote into a post at `more`, a list of texts: of elements that no field
    is for, the labels of categories and the titles of links, the other texts where there are several, and what is not
    seen of HTML. Secrets are left out, and so is what only programs read, as far as that can be told."""
    rest: list[str] = []
    result = _parse(item, rest, service=service, node=node)
    return add_more(result, WORDS, rest)


def parse_blog(item: Element, *, service: str, node: str) -> JSON:
    """An item of a blog, by its own payload; `kind` tells which. All have `publisher?`, the item's attribute:
    it is the service's word for who published, whereas any publisher can write any author (XEP-0277, 9.1).

    `entry` (XEP-0277, 2.3; XEP-0472, 4.2) and `feed`, a blog's own description (XEP-0277, 5):

    - text: `atom_id`, `lang`; `title`, `subtitle`, `summary`, `content`, `rights`, each plain and with white
      space collapsed, and each with `…_xhtml` beside it where XHTML was published: XML text as it came, not
      made safe to show. `content_src`, where the content is elsewhere;
    - dates: `published`, `updated`, in UTC;
    - people: `author` `{name?, uri?, email?, jid?}`, with `authors` where there are several, `contributors`;
    - `categories`, a list of terms; `generator` `{name?, uri?, version?}`; `geoloc` (XEP-0080, 3);
    - `links`, a list of `{rel, href, type?, title?, hreflang?, ref?, length?, xmpp?}`, and `in_reply_to`, a
      list of `{ref?, href?, type?, source?, xmpp?}` (RFC 4685, 3); `xmpp` is `{service, node?, item?}` where
      the address is an XMPP URI. `comments` `{service, node}` is the node of the comments (XEP-0277, 3).

    `avatar`: some keep the avatar of a community as an item of its blog; see `avatar.parse_avatar`.

    Raises ValueError when the item does not hold exactly one of these.
    """
    return _parse(item, [], service=service, node=node)


def _parse(item: Element, rest: list[str], *, service: str, node: str) -> JSON:
    """Adds to `rest` what a person wrote and no field holds; of what a field holds some, too."""
    payload = payload_of(item, ENTRY, FEED, avatar.METADATA)
    if payload.tag == avatar.METADATA:
        result = {"kind": "avatar", **avatar.parse_avatar(item, service=service, node=node)}
        rest += texts_in([payload])
    else:
        result = {"kind": "entry" if payload.tag == ENTRY else "feed", **_parse_atom(payload, rest)}
    rest += texts_around(item, payload)
    add(result, "publisher", item.get("publisher"))
    return result


def _parse_atom(payload: Element, rest: list[str]) -> JSON:
    found: dict[str, list[Element]] = {}
    for child in children(payload):
        found.setdefault(child.tag.removeprefix(f"{{{NAMESPACE}}}"), []).append(child)

    def every(name: str) -> list[Element]:
        return found.get(name, [])

    def first_text(name: str) -> str | None:
        return own_text(found[name][0]) if name in found else None

    result: JSON = {}
    add(result, "atom_id", first_text("id"))
    for name in _TEXTS:
        construct = Construct.read(every(name))
        add(result, name, construct.plain)
        add(result, f"{name}_xhtml", construct.xhtml)
        rest += construct.rest
    add(result, "content_src", next((src for e in every("content") if (src := collapse(e.get("src")))), None))
    add(result, "lang", _language(payload, every("title") + every("content")))
    add(result, "published", date_time(first_text("published")))
    add(result, "updated", date_time(first_text("updated")))
    authors = _people(every("author"))
    add(result, "author", authors[0] if authors else None)
    add(result, "authors", authors if len(authors) > 1 else None)
    add(result, "contributors", _people(every("contributor")))
    add(result, "categories", _categories(every("category")))
    _add_links(result, every("link"))
    add(result, "in_reply_to", [reply for e in every(_IN_REPLY_TO) if (reply := _reply(e))])
    add(result, "generator", _generator(every("generator")))
    add(result, "geoloc", next((place for e in every(GEOLOC) if (place := parse_geoloc(e))), None))
    rest.append(own_text(payload))
    others = (e for name, elements in found.items() if name not in _TEXTS for e in elements)
    rest += texts_in((e for e in others if not _leads_to_comments(e)), _FOR_PROGRAMS)
    return result


def _language(payload: Element, texts: Iterable[Element]) -> str | None:
    return next((lang for e in (payload, *texts) if (lang := collapse(e.get(XML_LANG)))), None)


def _people(elements: Iterable[Element]) -> list[JSON]:
    """Person constructs (RFC 4287, 3.2); `jid` where the URI is an XMPP one."""
    people = []
    for element in elements:
        person: JSON = {}
        for child in children(element):
            name = child.tag.removeprefix(f"{{{NAMESPACE}}}")
            if name in ("name", "uri", "email") and name not in person:
                add(person, name, own_text(child))
        if (address := xmpp_uri(person.get("uri"))) is not None:
            person["jid"] = address["service"]
        if person:
            people.append(person)
    return people


def _categories(elements: Iterable[Element]) -> list[str]:
    terms = (collapse(element.get("term")) for element in elements)
    return list(dict.fromkeys(term for term in terms if term))


def _generator(elements: list[Element]) -> JSON:
    generator: JSON = {}
    for element in elements[:1]:
        add(generator, "name", own_text(element))
        add_attributes(generator, element, "uri", "version")
    return generator


def _add_links(result: JSON, elements: Iterable[Element]) -> None:
    links = []
    for element in elements:
        href = (element.get("href") or "").strip()
        if not href:
            continue
        rel = collapse(element.get("rel")).removeprefix(_RELATION)  # RFC 4287, 4.2.7.2
        link: JSON = {"rel": rel or "alternate", "href": href}
        add_attributes(link, element, "type", "title", "hreflang", "ref")
        add(link, "length", integer(element.get("length"), 0, 2**53 - 1))
        add(link, "xmpp", xmpp_uri(href))
        links.append(link)
    add(result, "links", links)
    nodes = [link for link in links if link["rel"] == "replies" and "node" in link.get("xmpp", ())]
    nodes.sort(key=lambda link: link.get("title") != "comments")  # the title XEP-0277, 3, asks for goes first
    if nodes:
        place = nodes[0]["xmpp"]
        result["comments"] = {"service": place["service"], "node": place["node"]}


def _leads_to_comments(element: Element) -> bool:
    """Its title is not for people then (XEP-0277, 3)."""
    return element.tag == _LINK and element.get("rel") == "replies" and element.get("title") == "comments"


def _reply(element: Element) -> JSON:
    reply: JSON = {}
    add_attributes(reply, element, "ref", "href", "type", "source")
    add(reply, "xmpp", xmpp_uri(reply.get("href")))
    return reply if "ref" in reply or "href" in reply else {}
