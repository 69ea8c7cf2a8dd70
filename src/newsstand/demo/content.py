"""What the demo publishes: made-up posts, bookmarks, avatars and device lists, the same at every run. Pure.

Only the dates differ: they are spread over the year before `now`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element, SubElement

from newsstand.demo.phrases import CLOSINGS, MOODS, OPENINGS, PEOPLE, ROOMS, TAGS, THINGS, TITLES, Person

MICROBLOG = "urn:xmpp:microblog:0"
BOOKMARKS = "urn:xmpp:bookmarks:1"
AVATARS = "urn:xmpp:avatar:metadata"
DEVICES = "urn:xmpp:omemo:2:devices"
LEGACY_DEVICES = "eu.siacs.conversations.axolotl.devicelist"
VCARD = NS_VCARD = "urn:ietf:params:xml:ns:vcard-4.0"
"""Where slixmpp's own plugin for XEP-0292 keeps it."""
NICK = "http://jabber.org/protocol/nick"
COMMUNITY = "verona/market-square"

NS_ATOM = "http://www.w3.org/2005/Atom"
NS_XHTML = "http://www.w3.org/1999/xhtml"
NS_OMEMO = "urn:xmpp:omemo:2"
NS_LEGACY_OMEMO = "eu.siacs.conversations.axolotl"

COMMUNITY_POSTS = 200
BLOG_POSTS = 120
SEED = 1597


@dataclass(frozen=True, slots=True)
class Publication:
    """An item that is to be published: who publishes it, and where. `service` is a bare JID."""

    account: str
    service: str
    node: str
    item_id: str
    payload: Element


class Content:
    """Everything that the demo publishes: what is there at its beginning, and posts for later."""

    def __init__(self, domain: str, pubsub: str, now: datetime) -> None:
        self.domain = domain
        self.pubsub = pubsub
        self.now = now.replace(microsecond=0)
        self._random = random.Random(SEED)
        self.community = [self._post(person, pubsub, COMMUNITY, at) for person, at in self._crowd()]
        blogger = PEOPLE[0]
        blog = self._dates(BLOG_POSTS)
        self.blog = [self._post(blogger, self.jid(blogger), MICROBLOG, at) for at in blog]
        self.profiles = [publication for person in PEOPLE for publication in self._profile(person)]

    def jid(self, person: Person) -> str:
        return f"{person.account}@{self.domain}"

    def new_post(self, person: Person, service: str, node: str) -> Publication:
        """A post of this moment, one that was not there before."""
        return self._post(person, service, node, self.now)

    def rewrite(self, post: Publication) -> Publication:
        """The same post with another text, under the same id."""
        person = next(person for person in PEOPLE if person.account == post.account)
        published = datetime.fromisoformat(post.payload.findtext(f"{{{NS_ATOM}}}published") or "")
        entry = self._entry(person, post.service, post.node, post.item_id, published)
        text = entry.find(f"{{{NS_ATOM}}}title")
        assert text is not None
        text.text = f"{text.text} (corrected)"
        return Publication(post.account, post.service, post.node, post.item_id, entry)

    def bookmark(self, person: Person, number: int) -> Publication:
        name, topic = ROOMS[number]
        conference = Element(f"{{{BOOKMARKS}}}conference", {"name": topic})
        if number % 3 == 0:
            conference.set("autojoin", "true")
        SubElement(conference, f"{{{BOOKMARKS}}}nick").text = person.nick
        return Publication(person.account, self.jid(person), BOOKMARKS, f"{name}@rooms.{self.domain}", conference)

    def devices(self, person: Person, count: int) -> list[Publication]:
        """The device list in both of its forms (XEP-0384, today's and the one before)."""
        ids = [str(self._random.randrange(1, 2**31)) for _ in range(count)]
        new = Element(f"{{{NS_OMEMO}}}devices")
        old = Element(f"{{{NS_LEGACY_OMEMO}}}list")
        for device in ids:
            SubElement(new, f"{{{NS_OMEMO}}}device", id=device)
            SubElement(old, f"{{{NS_LEGACY_OMEMO}}}device", id=device)
        service = self.jid(person)
        return [
            Publication(person.account, service, DEVICES, "current", new),
            Publication(person.account, service, LEGACY_DEVICES, "current", old),
        ]

    # Posts

    def _dates(self, count: int) -> list[datetime]:
        """Oldest first, to the second, no two alike."""
        seconds = self._random.sample(range(3_600, 365 * 86_400), count)
        return [self.now - timedelta(seconds=ago) for ago in sorted(seconds, reverse=True)]

    def _crowd(self) -> Iterator[tuple[Person, datetime]]:
        for at in self._dates(COMMUNITY_POSTS):
            yield self._random.choice(PEOPLE), at

    def _post(self, person: Person, service: str, node: str, published: datetime) -> Publication:
        item_id = f"{self._random.getrandbits(64):016x}"
        payload = self._entry(person, service, node, item_id, published)
        return Publication(person.account, service, node, item_id, payload)

    def _entry(self, person: Person, service: str, node: str, item_id: str, published: datetime) -> Element:
        """An Atom entry as XEP-0277 and XEP-0472 want it."""
        topic = self._random.choice(sorted(THINGS))
        entry = Element(f"{{{NS_ATOM}}}entry")
        _text(entry, "id", f"tag:{self.domain},{published:%Y-%m-%d}:{item_id}")
        _text(entry, "title", self._fill(self._random.choice(TITLES), topic).capitalize())
        sentences = self._sentences(topic)
        _text(entry, "content", " ".join(sentences), type="text")
        if self._random.random() < 0.3:
            outer = SubElement(entry, f"{{{NS_ATOM}}}content", type="xhtml")
            inner = SubElement(outer, f"{{{NS_XHTML}}}div")
            for sentence in sentences:
                SubElement(inner, f"{{{NS_XHTML}}}p").text = sentence
        author = SubElement(entry, f"{{{NS_ATOM}}}author")
        _text(author, "name", person.name)
        _text(author, "uri", f"xmpp:{self.jid(person)}")
        _text(entry, "published", f"{published:%Y-%m-%dT%H:%M:%SZ}")
        updated = published + timedelta(minutes=self._random.choice((0, 0, 0, 5, 40)))
        _text(entry, "updated", f"{updated:%Y-%m-%dT%H:%M:%SZ}")
        for tag in [topic, *self._random.sample(TAGS, self._random.randrange(0, 3))]:
            SubElement(entry, f"{{{NS_ATOM}}}category", term=tag)
        self._add_links(entry, service, node, item_id)
        return entry

    def _add_links(self, entry: Element, service: str, node: str, item_id: str) -> None:
        link = f"{{{NS_ATOM}}}link"
        SubElement(entry, link, rel="alternate", href=f"xmpp:{service}?;node={node};item={item_id}")
        if node == COMMUNITY:
            href = f"xmpp:{self.pubsub}?;node={MICROBLOG}:comments/{item_id}"
            SubElement(entry, link, rel="replies", title="comments", href=href)

    def _sentences(self, topic: str) -> list[str]:
        middle = [self._fill(self._random.choice(OPENINGS), topic) for _ in range(self._random.randrange(2, 6))]
        return [*(sentence[:1].upper() + sentence[1:] for sentence in middle), self._random.choice(CLOSINGS)]

    def _fill(self, template: str, topic: str) -> str:
        thing, other = self._random.sample(THINGS[topic], 2)
        who = self._random.choice(PEOPLE).nick
        return template.format(thing=thing, other=other, mood=self._random.choice(MOODS), who=who)

    # What else an account publishes of itself

    def _profile(self, person: Person) -> Iterator[Publication]:
        service = self.jid(person)
        for number in person.rooms:
            yield self.bookmark(person, number)
        sha1 = hashlib.sha1(service.encode(), usedforsecurity=False).hexdigest()
        metadata = Element(f"{{{AVATARS}}}metadata")
        size = str(self._random.randrange(2_000, 20_000))
        SubElement(metadata, f"{{{AVATARS}}}info", id=sha1, bytes=size, type="image/png", width="128", height="128")
        yield Publication(person.account, service, AVATARS, sha1, metadata)
        yield from self.devices(person, self._random.randrange(1, 4))
        yield Publication(person.account, service, VCARD, "current", _vcard(person))
        nick = Element(f"{{{NICK}}}nick")
        nick.text = person.nick
        yield Publication(person.account, service, NICK, "current", nick)


def _vcard(person: Person) -> Element:
    vcard = Element(f"{{{NS_VCARD}}}vcard")
    values = {"fn": person.name, "nickname": person.nick, "note": person.note}
    for name, value in values.items():
        SubElement(SubElement(vcard, f"{{{NS_VCARD}}}{name}"), f"{{{NS_VCARD}}}text").text = value
    return vcard


def _text(parent: Element, name: str, text: str, **attributes: str) -> None:
    SubElement(parent, f"{{{NS_ATOM}}}{name}", attributes).text = text
