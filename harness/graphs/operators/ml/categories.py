"""Categories, maps and missing values, as scikit-learn's encoders are exported."""

import numpy

from harness.graphs.operators.ml.classical import MlOperator, given, text


def plain(keys):
    """Return attributes of text, which may come as bytes, as texts; others unchanged."""
    return [text(key) for key in keys]


class ZipMap(MlOperator):
    """A map of every row: a class to its score."""

    def _run(self, x, classlabels_int64s=None, classlabels_strings=None):
        keys = plain(given(classlabels_int64s, classlabels_strings))
        return ([dict(zip(keys, row)) for row in numpy.atleast_2d(x)],)


class CastMap(MlOperator):
    """A row of a map's values, by its sorted keys or at the places that these name."""

    def _run(self, x, cast_to="TO_FLOAT", map_form="DENSE", max_map=1):
        width = max_map if text(map_form) == "SPARSE" else len(x)
        real = "float64" if self.is_wide else "float32"
        dtype = {"TO_FLOAT": real, "TO_INT64": "int64"}.get(text(cast_to), object)
        if text(map_form) == "SPARSE" and not all(0 <= key < width for key in x):
            raise ValueError("a key of the map is not from 0 to {}".format(width - 1))
        row = numpy.full(width, "" if dtype is object else 0, dtype)
        for place, key in enumerate(sorted(x)):
            target = key if text(map_form) == "SPARSE" else place
            row[target] = str(x[key]) if dtype is object else numpy.float64(x[key])
        return (row[None],)


class DictVectorizer(MlOperator):
    """A row of a map's values in the order of a vocabulary."""

    def _run(self, x, int64_vocabulary=None, string_vocabulary=None):
        keys = plain(given(int64_vocabulary, string_vocabulary))
        values = [x.get(key) for key in keys]
        nothing = "" if any(isinstance(value, str) for value in values) else 0
        return (numpy.array([[nothing if value is None else value for value in values]]),)


def _is_nan(value):
    return isinstance(value, (float, numpy.floating)) and bool(numpy.isnan(value))


def _looked_up(x, table, default, dtype):
    """Return every element's entry in a table; NaN is a key too, of which the last counts."""
    missing = next((table[key] for key in reversed(list(table)) if _is_nan(key)), default)
    values = [missing if _is_nan(key) else table.get(key, default) for key in x.ravel().tolist()]
    return numpy.array(values, dtype).reshape(x.shape)


class CategoryMapper(MlOperator):
    """Texts to integers, or back."""

    def _run(self, x, cats_int64s=None, cats_strings=None, default_int64=-1, default_string=""):
        words = plain(cats_strings)
        if x.dtype.kind in "OUS":
            table = dict(zip(words, cats_int64s))
            return (_looked_up(x, table, default_int64, "int64"),)
        return (_looked_up(x, dict(zip(cats_int64s, words)), text(default_string), object),)


class LabelEncoder(MlOperator):
    """Any elements to any others; before version 2 texts to their places, or back."""

    def _run(self, x, **settings):
        if settings.get("classes_strings") is not None:
            return (self._by_places(x, plain(settings["classes_strings"]), settings),)
        kinds = ("floats", "int64s", "strings", "tensor")
        keys = given(*(settings.get("keys_" + kind) for kind in kinds))
        kind = next(kind for kind in kinds if settings.get("values_" + kind) is not None)
        if kind == "tensor":
            values = settings["values_tensor"]
            default, dtype = settings.get("default_tensor"), values.dtype
            default = numpy.zeros(1, dtype)[0] if default is None else numpy.ravel(default)[0]
        else:
            values = plain(settings["values_" + kind])
            default = text(settings["default_" + kind.rstrip("s")])
            dtype = {"floats": "float64", "int64s": "int64", "strings": object}[kind]
        looked_up = _looked_up(x, dict(zip(plain(keys), values)), default, dtype)
        return (self.floats(looked_up) if kind == "floats" else looked_up,)

    @staticmethod
    def _by_places(x, words, settings):
        if x.dtype.kind in "OUS":
            table = {word: place for place, word in enumerate(words)}
            return _looked_up(x, table, settings.get("default_int64"), "int64")
        table = dict(enumerate(words))
        return _looked_up(x, table, text(settings.get("default_string")), object)


class OneHotEncoder(MlOperator):
    """A 1 at the place of an element's category; numbers count as integers."""

    def _run(self, x, cats_int64s=None, cats_strings=None, zeros=1):
        is_text = x.dtype.kind in "OUS"
        categories = plain(given(cats_strings) if is_text else given(cats_int64s))
        elements = x.astype(str) if is_text else x.astype("int64")
        hot = elements[..., None] == numpy.array(categories)
        if not zeros and not hot.any(axis=-1).all():
            raise ValueError("an element is in no category, and zeros are not allowed")
        return (self.floats(hot, x),)


class Imputer(MlOperator):
    """Another value in place of one, in every column its own."""

    def _run(self, x, **settings):
        floats = given(settings.get("imputed_value_floats"))
        new = floats or given(settings.get("imputed_value_int64s"))
        old = settings["replaced_value_float" if floats else "replaced_value_int64"]
        missing = numpy.isnan(x) if _is_nan(old) else x == numpy.asarray(old).astype(x.dtype)
        return (numpy.where(missing, numpy.array(new, x.dtype), x),)


class FeatureVectorizer(MlOperator):
    """Columns after each other, cut or filled with zeros to their widths."""

    def _run(self, *columns, inputdimensions=None):
        parts = []
        for x, width in zip(columns, inputdimensions):
            rows = self.floats(numpy.atleast_2d(x), x)[:, :width]
            parts.append(numpy.pad(rows, ((0, 0), (0, width - rows.shape[1]))))
        return (numpy.concatenate(parts, axis=1),)


OPERATORS = [
    CastMap,
    CategoryMapper,
    DictVectorizer,
    FeatureVectorizer,
    Imputer,
    LabelEncoder,
    OneHotEncoder,
    ZipMap,
]
