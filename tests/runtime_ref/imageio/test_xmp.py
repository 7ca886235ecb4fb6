"""Looking up single XMP values, and what is dropped from a packet when the photo is written anew."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.runtime_ref.imageio.xmp import xmp_for_reencoded, xmp_property

GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"


def packet(attributes: str = "", elements: str = "") -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:GDepth="{GDEPTH}" xmlns:note="http://ns.adobe.com/xmp/note/" xmp:Rating="5" {attributes}>{elements}
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


@pytest.mark.parametrize(
    "xmp",
    [
        packet('GDepth:Near="0.25"'),
        packet("GDepth:Near='0.25'"),
        packet(elements="<GDepth:Near>0.25</GDepth:Near>"),
        packet(elements="<GDepth:Near >\n 0.25 </GDepth:Near\n>"),
    ],
)
def test_value_is_found_as_attribute_and_as_element(xmp: bytes) -> None:
    assert xmp_property(xmp, GDEPTH, "Near") == "0.25"


def test_value_is_found_under_whatever_prefix_its_namespace_has() -> None:
    xmp = packet('GDepth:Near="1"').replace(b"GDepth", b"g")
    assert xmp_property(xmp, GDEPTH, "Near") == "1"


def test_name_in_another_namespace_is_not_taken_for_it() -> None:
    xmp = packet('other:Near="1" xmlns:other="urn:other"')
    assert xmp_property(xmp, GDEPTH, "Near") is None


@pytest.mark.parametrize(
    "xmp",
    [
        packet('tiff:Orientation="6"'),
        packet(elements="<tiff:Orientation>6</tiff:Orientation>"),
        packet('GDepth:Near="1" GDepth:Data="AAAA"'),
        packet(elements="<GDepth:Data>AAAA</GDepth:Data><GDepth:Near/>"),
        packet('note:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"'),
        packet(
            'xmlns:C="http://ns.google.com/photos/1.0/container/" xmlns:I="http://ns.google.com/photos/1.0/container/item/"',
            '<C:Directory><rdf:Seq><rdf:li><C:Item I:Semantic="Depth" I:Length="9"/></rdf:li></rdf:Seq></C:Directory>',
        ),
        packet('xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'),
    ],
)
def test_orientation_and_pointers_at_other_pictures_go_and_the_rest_stays(xmp: bytes) -> None:
    cleaned = xmp_for_reencoded(xmp)
    assert cleaned is not None
    for gone in (b"Orientation", b"AAAA", b"HasExtendedXMP", b"GDepth", b"Semantic", b"hdrgm"):
        assert gone not in cleaned
    assert xmp_property(cleaned, "http://ns.adobe.com/xap/1.0/", "Rating") == "5"
    ElementTree.fromstring(cleaned.decode())


def test_cleaning_is_idempotent() -> None:
    once = xmp_for_reencoded(packet('GDepth:Near="1"'))
    assert xmp_for_reencoded(once) == once


@pytest.mark.parametrize(
    "xmp",
    [
        None,
        b"",
        b"\xff\xfe<\0x\0",
        b"<unclosed>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>',
        packet(elements="<GDepth:Data>never closed"),
        b"<x>" + b" " * 5_000_000 + b"</x>",
    ],
)
def test_packet_that_cannot_be_cleaned_with_certainty_is_dropped(xmp: bytes | None) -> None:
    assert xmp_for_reencoded(xmp) is None


def test_trailing_zeros_of_a_container_do_not_matter() -> None:
    assert xmp_for_reencoded(packet() + b"\0\0") == xmp_for_reencoded(packet()) is not None


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_break_the_search_or_the_cleaning(noise: bytes, at: int) -> None:
    for xmp in (noise, packet('GDepth:Near="1"')[:at] + noise + packet('GDepth:Near="1"')[at:]):
        xmp_property(xmp, GDEPTH, "Near")
        xmp_for_reencoded(xmp)
