"""Every text of a figure, as plotly would read it."""


def texts(figure):
    found = []

    def walk(part, key=""):
        if isinstance(part, dict):
            for name, value in part.items():
                walk(value, name)
        elif isinstance(part, list | tuple):
            for one in part:
                walk(one, key)
        elif isinstance(part, str) and key not in ("customdata", "meta"):
            found.append(part)

    walk(figure.to_plotly_json())
    return found
