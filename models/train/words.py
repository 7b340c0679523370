"""Word lists for the synthetic corpus, and random words that nobody has seen.

Words in a `HELD_*` list never occur in training: they make up the unseen names of the evaluation.
"""

from __future__ import annotations

import random

VERBS = (
    "get find list create update delete send open close start stop check fetch search book cancel "
    "read write move copy rename share show add remove set reset load save print scan track order "
    "pay plan draw play pause record sort merge split lock run build test watch"
).split()
HELD_VERBS = "archive revoke inspect mount compress publish approve dim refill encode grab trim".split()

NOUNS = (
    "weather file mail message event meeting user account invoice order ticket flight hotel room "
    "train bus route map photo image video song album playlist note task list project report table "
    "row page site link domain server cluster job queue log alert timer alarm light door camera "
    "sensor price stock rate budget payment card device printer book article recipe movie game "
    "score team contact profile group channel branch commit token key"
).split()
HELD_NOUNS = (
    "warehouse gradient shipment passport thermostat volcano sprinkler voucher dataset kernel "
    "podcast mirror tunnel permit lantern garden widget orchard beacon satellite"
).split()

PARAMS = (
    "city name title path date time day count limit size color unit lang topic query text body to "
    "from subject id code level mode format kind tag tags status owner author amount price width "
    "height depth speed volume start end page offset zone region country street phone email url "
    "host port user group label note reason items filters options target source value key age"
).split()
HELD_PARAMS = (
    "harbor flavor badge rotation tariff wingspan nickname currency latitude fabric verdict chapter"
).split()

PLAIN = (
    "red blue green black white small large fast slow high low old new north south east west apple "
    "bread coffee paper stone river mountain forest summer winter monday friday morning evening "
    "music garden kitchen office school market bridge castle island window table silver gold cold "
    "warm quiet loud open free happy early late first last simple draft final weekly daily"
).split()
NAMES = (
    "Paris London Berlin Rome Madrid Tokyo Oslo Lima Cairo Dublin Boston Denver Vienna Prague Anna "
    "Bob Carla David Emma Frank Grace Henry Ivan Julia Karl Laura Mia Noah Olga Peter Rosa Tom"
).split()
ACCENTED = "Zürich Málaga São Kraków Tromsø café naïve Ängel señor Łódź 東京 münchen Besançon".split()
ENUMS = (
    ("celsius", "fahrenheit"), ("low", "medium", "high"), ("asc", "desc"), ("json", "csv", "xml"),
    ("red", "green", "blue"), ("daily", "weekly", "monthly"), ("open", "closed"), ("on", "off", "auto"),
    ("small", "medium", "large"), ("north", "south", "east", "west"), ("draft", "final"),
)

_ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr kl pl st tr sh th ch".split()
_VOWELS = "a e i o u ai ea oo".split()
_CODAS = ["", "", "", "n", "r", "l", "s", "t", "k", "m", "x", "nd", "st", "rk"]


def syllables(rng: random.Random, low: int = 1, high: int = 3) -> str:
    """A pronounceable word that belongs to no language."""
    parts = (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randint(low, high)))
    return "".join(parts)


def letters(rng: random.Random, low: int = 2, high: int = 7) -> str:
    """Lower-case letters without any pattern."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(low, high)))


def fresh(rng: random.Random) -> str:
    """A word that must be copied, since it cannot be known."""
    return syllables(rng) if rng.random() < 0.75 else letters(rng)
