"""Small files of many formats, made of nothing but zip and XML."""

import io
import zipfile
from collections.abc import Mapping

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = f'xmlns:p="urn:p" xmlns:r="{REL}" {A}'
X = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{REL}"'
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"'
)


def archive(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else None
            file.writestr(name, content, compress_type=stored)
    return out.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="{key}" Type="{REL}/{kind}" Target="{name}"/>'
        for key, (kind, name) in targets.items()
    )
    return f'<Relationships xmlns="urn:r">{links}</Relationships>'


def paragraph(text: str, style: str = "") -> str:
    mark = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{mark}<w:r><w:t>{text}</w:t></w:r></w:p>"


def row(*cells: str) -> str:
    return "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells) + "</w:tr>"


def docx(body: str = paragraph("All is well"), **members: str) -> bytes:
    styles = "".join(
        f'<w:style w:styleId="H{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2)
    )
    return archive(
        {
            "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
            "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
            "word/_rels/document.xml.rels": relations(
                {"s": ("styles", "styles.xml"), "f": ("footnotes", "footnotes.xml")}
            ),
            **members,
        }
    )


def pptx(*slides: str, more: str = "", ground: str = "", **parts: str) -> bytes:
    """``more`` are attributes of every slide, ``ground`` is the first thing in it."""
    members = {
        f"ppt/slides/slide{n}.xml": f"<p:sld {P} {more}><p:cSld>{ground}<p:spTree>{text}"
        "</p:spTree></p:cSld></p:sld>"
        for n, text in enumerate(slides)
    }
    ids = "".join(f'<p:sldId id="{n}" r:id="r{n}"/>' for n in range(len(slides)))
    return archive(
        {
            "ppt/presentation.xml": f"<p:presentation {P}><p:sldIdLst>{ids}</p:sldIdLst>"
            '<p:sldSz cx="9144000" cy="6858000"/></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(
                {f"r{n}": ("slide", f"slides/slide{n}.xml") for n in range(len(slides))}
            ),
            **members,
            **parts,
        }
    )


def shape(text: str, kind: str = "body") -> str:
    return (
        f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        f"<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def xlsx(
    rows: str, merged: str = "", before: str = "", state: str = "visible", **parts: str
) -> bytes:
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>'
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    return archive(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": relations({"r": ("officeDocument", "xl/workbook.xml")}).replace(
                "urn:r", package
            ),
            "xl/workbook.xml": f'<workbook {X}><sheets><sheet name="Prices" sheetId="1" '
            f'state="{state}" r:id="r1"/>'
            "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                {"r1": ("worksheet", "worksheets/sheet1.xml"), "r2": ("styles", "styles.xml")}
            ).replace("urn:r", package),
            "xl/styles.xml": f'<styleSheet {X}><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/>'
            "</cellXfs></styleSheet>",
            "xl/worksheets/sheet1.xml": f"<worksheet {X}>{before}<sheetData>{rows}</sheetData>"
            f"{merged}</worksheet>",
            **parts,
        }
    )


def odt(body: str, styles: str = "", **members: str) -> bytes:
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:document-content {ODF}><office:automatic-styles>{styles}"
            f"</office:automatic-styles><office:body><office:text>{body}</office:text>"
            "</office:body></office:document-content>",
            **members,
        }
    )


def epub(*chapters: str, **members: str) -> bytes:
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": "<container><rootfiles><rootfile full-path='O/p.opf'/>"
            "</rootfiles></container>",
            "O/p.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"O/c{n}.xhtml": text for n, text in enumerate(chapters)},
            **members,
        }
    )
