"""The report in a real browser: it fits every screen, asks for nothing, and can be read without seeing or scripting."""

import pytest

from tests.report.synthetic import make_changed, make_parts, make_report, make_verdict

WIDTHS = (400, 1400)
HOSTILE = "<script>document.title = 'attacked'</script>"

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    verdict = make_verdict(slices=make_parts(["a-long-folder-name/" * 8, "phone"]))
    report = make_report(folder / "made", ["cats", HOSTILE], 207, with_pictures=True, verdict=verdict)
    (folder / "report.html").write_text(report, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    classes = [f"{number} {'long-name-without-a-space' * 3}" for number in range(120)]
    verdict = make_verdict(190, 13, 600, 31, champion=f"{'r' * 60}-5304beb14c59", verdict="better", promote=True)
    changes = {
        "better": make_changed(classes, (40, 9, 8, 7, 4, 2), better=True, more=120),
        "worse": make_changed(classes, (4, 3, 2, 1, 1, 1), better=False, more=1),
    }
    report = make_report(
        folder / "made", classes, 600, 1.5, with_pictures=True, recipe_name="r" * 60, verdict=verdict, **changes
    )
    (folder / "report.html").write_text(report, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def open_page(browser):
    contexts = []

    def open_page(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("report", ["small", "large"])
def test_nothing_sticks_out_of_the_page(open_page, request, report, width):
    page = open_page(request.getfixturevalue(report), viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"""
    )
    assert cut == 0
    overlapping = page.evaluate(
        """() => [...document.querySelectorAll('td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"""
    )
    assert overlapping == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_both_colour_schemes(open_page, small, scheme):
    page = open_page(small, color_scheme=scheme)
    contrasts = page.evaluate(
        """() => {
          const light = color => {
            const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
              .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = element => {
            const color = getComputedStyle(element).backgroundColor;
            return color === 'rgba(0, 0, 0, 0)' && element.parentElement ? ground(element.parentElement) : color;
          };
          const selectors = ['h1', '.score', '.soft', 'a', 'td', 'td small', 'caption', 'dd span', 'summary', 'code',
            '.right strong', '.wrong strong', 'figcaption small'];
          return selectors.map(selector => {
            const element = document.querySelector(selector);
            const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
            return [selector, (pair[0] + 0.05) / (pair[1] + 0.05)];
          });
        }"""
    )
    assert len(contrasts) == 13
    assert [pair for pair in contrasts if pair[1] < 4.5] == []  # WCAG 2.2, level AA


def test_dark_is_dark_and_light_is_light(open_page, small):
    grounds = {
        scheme: open_page(small, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert grounds == {"light": "rgb(244, 246, 248)", "dark": "rgb(17, 22, 28)"}


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser, small):
    page = browser.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(small.as_uri(), wait_until="networkidle")
    outside = [url for url in requests if not url.startswith("data:") and url != small.as_uri()]
    page.close()
    assert (outside, complaints) == ([], [])


def test_every_picture_is_shown_whole_and_has_words(open_page, small):
    page = open_page(small)
    pictures = page.evaluate(
        """() => [...document.images].map(image => ({
          loaded: image.complete && image.naturalWidth > 0,
          words: image.alt.length,
          stretched: getComputedStyle(image).objectFit !== 'contain'
            && Math.abs(image.width / image.height - image.naturalWidth / image.naturalHeight) > 0.02,
        }))"""
    )
    assert len(pictures) == 5 + (4 + 1) + (3 + 1) + 9 + 9  # drawn, better, worse, mistakes, at random
    assert all(picture["loaded"] and picture["words"] > 20 and not picture["stretched"] for picture in pictures)


def test_a_class_named_like_a_script_is_read_and_not_run(open_page, small):
    page = open_page(small)
    assert page.title().startswith("cats_dogs: ")
    assert page.get_by_role("rowheader", name=HOSTILE).count() == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_interval_is_a_bar_around_its_point_and_crosses_no_difference(open_page, small, width):
    page = open_page(small, viewport={"width": width, "height": 900})
    box = {
        name: page.locator(f"#compared .interval .{name}").bounding_box() for name in ("axis", "range", "point", "zero")
    }
    low, high = box["range"]["x"], box["range"]["x"] + box["range"]["width"]
    point, zero = (box[name]["x"] + box[name]["width"] / 2 for name in ("point", "zero"))
    assert box["axis"]["x"] <= low < zero < point < high <= box["axis"]["x"] + box["axis"]["width"]
    words = page.locator("#compared .interval").get_attribute("aria-label")
    assert words.replace("\N{NO-BREAK SPACE}", " ").startswith(
        "The difference is +1.4 points; its 95 % interval is from"
    )


def test_it_reads_the_same_without_javascript(open_page, small):
    with_scripts = open_page(small).inner_text("body")
    without = open_page(small, java_script_enabled=False).locator("body").inner_text()
    assert without == with_scripts
    assert "test images right" in without


def test_the_links_at_the_top_lead_to_sections(open_page, small):
    page = open_page(small)
    targets = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    assert len(targets) == 14
    for target in targets:
        page.click(f"nav a[href='{target}']")
        assert page.locator(f"{target} h2").first.is_visible()


def test_all_classes_are_one_click_away(open_page, large):
    page = open_page(large)
    assert page.get_by_role("row").count() < 20
    page.get_by_text("All 120 classes").click()
    assert page.get_by_role("row").count() > 130


def test_it_has_one_main_heading_and_its_language(open_page, small):
    page = open_page(small)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_by_role("main").count() == 1


def test_it_can_be_printed(open_page, small):
    page = open_page(small, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
