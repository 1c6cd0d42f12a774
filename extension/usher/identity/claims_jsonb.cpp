#include "usher/identity/claims_jsonb.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <list>

#include "pg/jsonb_format.hpp"
#include "pg/subxact.hpp"

namespace usher::identity {

namespace {

/// From the index that the parser has made straight to the binary form: nothing is parsed twice.
class ClaimsWriter {
public:
    /// Appends to `out`.
    void write(std::string &out, json::Value object) {
        out_ = &out;
        start_ = out.size();
        pairs_.clear();
        pg::jsonb_format::skip(out, VARHDRSZ); // the size, known at the end
        container(object);
        if (out_->size() - start_ > JENTRY_OFFLENMASK) throw Error("54000", "claims are too large");
        SET_VARSIZE(out_->data() + start_, out_->size() - start_);
    }

private:
    struct Pair {
        std::string_view key;
        json::Value value;
    };

    void container(json::Value value) {
        if (value.is_object())
            object(value);
        else
            array(value);
    }

    void array(json::Value value) {
        pg::jsonb_format::Container made = pg::jsonb_format::begin(*out_, JB_FARRAY, value.size());
        for (const json::Member element : value.members()) part(made, element.value);
    }

    void object(json::Value value) {
        const std::size_t count = value.size();
        pg::jsonb_format::Container made = pg::jsonb_format::begin(*out_, JB_FOBJECT, count);
        std::list<std::string> unescaped; // keys that stand with escapes in the text
        const std::size_t first = pairs_.size();
        push_sorted_pairs(value, unescaped);
        for (std::size_t i = first; i < first + count; ++i) {
            const std::size_t from = out_->size();
            *out_ += pairs_[i].key;
            pg::jsonb_format::end_part(*out_, made, JENTRY_ISSTRING, from);
        }
        for (std::size_t i = first; i < first + count; ++i) part(made, pairs_[i].value);
        pairs_.resize(first, {{}, value});
    }

    void part(pg::jsonb_format::Container &container, json::Value value) {
        const std::size_t from = out_->size();
        const JEntry type = any(value);
        pg::jsonb_format::end_part(*out_, container, type, from);
    }

    /// In the order of jsonb: by length, then by bytes. Duplicates were refused by the parser.
    void push_sorted_pairs(json::Value object, std::list<std::string> &unescaped) {
        const std::size_t first = pairs_.size();
        for (const json::Member member : object.members()) {
            buffer_.clear();
            std::string_view key = member.key_view(buffer_);
            if (!buffer_.empty()) key = unescaped.emplace_back(buffer_);
            pairs_.push_back({key, member.value});
        }
        std::sort(pairs_.begin() + static_cast<std::ptrdiff_t>(first), pairs_.end(), [](const Pair &a, const Pair &b) {
            return a.key.size() != b.key.size() ? a.key.size() < b.key.size() : a.key < b.key;
        });
    }

    JEntry any(json::Value value) {
        switch (value.kind()) {
        case json::Kind::null: return JENTRY_ISNULL;
        case json::Kind::boolean: return value.as_bool().value_or(false) ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
        case json::Kind::number: return number(value.raw());
        case json::Kind::string: *out_ += value.view(buffer_); return JENTRY_ISSTRING;
        case json::Kind::array:
        case json::Kind::object: break;
        }
        pg::jsonb_format::align(*out_, start_);
        container(value);
        return JENTRY_ISCONTAINER;
    }

    JEntry number(std::string_view text) {
        std::int64_t whole = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), whole);
        pg::jsonb_format::align(*out_, start_);
        if (read.ec == std::errc{} && read.ptr == text.data() + text.size()) {
            *out_ += numeric_of(whole);
            return JENTRY_ISNUMERIC;
        }
        append_numeric(*out_, [&] {
            return DatumGetPointer(DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(text.data(), text.size())),
                                                       ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
        });
        return JENTRY_ISNUMERIC;
    }

    /// The server makes it. Kept, because the numbers of a token are times, and those of one token and of others of the
    /// same second are the same.
    const std::string &numeric_of(std::int64_t whole) {
        KnownNumber &known = known_numbers_[static_cast<std::uint64_t>(whole) * 0x9e3779b97f4a7c15u >> 60];
        if (known.numeric.empty() || known.whole != whole) {
            known.numeric.clear(); // should the server refuse, nothing is known
            append_numeric(known.numeric, [whole] { return reinterpret_cast<char *>(int64_to_numeric(whole)); });
            known.whole = whole;
        }
        return known.numeric;
    }

    template <class F> static void append_numeric(std::string &to, F &&make) {
        const char *const made = pg::call([&] { return static_cast<const char *>(make()); });
        to.append(made, VARSIZE_ANY(made));
    }

    struct KnownNumber {
        std::int64_t whole = 0;
        std::string numeric;
    };
    std::array<KnownNumber, 16> known_numbers_;
    std::string *out_ = nullptr;
    std::size_t start_ = 0;
    std::string buffer_;
    std::vector<Pair> pairs_; // of the objects that are being written, the innermost last
};

constinit ClaimsWriter *writer = nullptr; // keeps its memory, never destroyed

/// Plain frame.
Datum parse_converted(std::string_view json) {
    char *const text = pnstrdup(json.data(), json.size());
    return DirectFunctionCall1(jsonb_in,
                               CStringGetDatum(pg_any_to_server(text, static_cast<int>(json.size()), PG_UTF8)));
}

} // namespace

bool append_claims(std::string &out, json::Value object) {
    if (GetDatabaseEncoding() == PG_UTF8) {
        if (writer == nullptr) writer = new ClaimsWriter;
        writer->write(out, object);
        return true;
    }
    // Other encodings lack characters, and the conversion says so with an ERROR.
    const MemoryContext target = CurrentMemoryContext;
    const std::string_view json = object.raw();
    Datum result = 0;
    const pg::Refusal refused = pg::attempt([&] {
        result = pg::call([&] {
            const MemoryContext inside = MemoryContextSwitchTo(target);
            const Datum value = parse_converted(json);
            MemoryContextSwitchTo(inside);
            return value;
        });
    });
    if (refused) return false;
    const void *const bytes = DatumGetPointer(result);
    out.append(static_cast<const char *>(bytes), VARSIZE(bytes));
    return true;
}

std::string json_of_argument(Datum jsonb) {
    return pg::call([&] {
        char *const text = DatumGetCString(DirectFunctionCall1(jsonb_out, jsonb));
        return static_cast<const char *>(pg_server_to_any(text, static_cast<int>(std::strlen(text)), PG_UTF8));
    });
}

// As pg::RowBuilder, with the descriptor kept for the whole statement: many tokens are verified in one.
Datum claims_or_error(FunctionCallInfo fcinfo, std::optional<Datum> claims, std::string_view error) {
    return pg::call([&] {
        auto *desc = static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
        if (desc == nullptr) {
            const MemoryContext inside = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
            if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 2)
                elog(ERROR, "unexpected result type");
            desc = BlessTupleDesc(desc);
            fcinfo->flinfo->fn_extra = desc;
            MemoryContextSwitchTo(inside);
        }
        Datum values[2] = {claims.value_or(0), 0};
        const bool nulls[2] = {!claims.has_value(), error.empty()};
        if (!error.empty())
            values[1] = PointerGetDatum(cstring_to_text_with_len(error.data(), static_cast<int>(error.size())));
        return HeapTupleGetDatum(heap_form_tuple(desc, values, const_cast<bool *>(nulls)));
    });
}

} // namespace usher::identity
