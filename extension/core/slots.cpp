#include "core/slots.hpp"
#include <algorithm>

namespace usher::slots {

Occupancy::Occupancy(std::span<const TimeRange> bookings) {
    std::vector<std::pair<Instant, int>> edges;
    edges.reserve(bookings.size() * 2);
    for (const TimeRange &each : bookings) {
        if (each.from >= each.until) continue;
        edges.emplace_back(each.from, 1);
        edges.emplace_back(each.until, -1);
    }
    std::sort(edges.begin(), edges.end());
    int count = 0;
    for (std::size_t i = 0; i < edges.size();) {
        const Instant at = edges[i].first;
        for (; i < edges.size() && edges[i].first == at; ++i) count += edges[i].second;
        levels_.push_back({at, count});
    }
}

int Occupancy::peak(const TimeRange &range) const {
    auto level = std::upper_bound(levels_.begin(), levels_.end(), range.from,
                                  [](Instant at, const Level &each) { return at < each.from; });
    int most = level == levels_.begin() ? 0 : std::prev(level)->count;
    for (; level != levels_.end() && level->from < range.until; ++level) most = std::max(most, level->count);
    return most;
}

bool on_grid(std::span<const TimeRange> periods, Instant start, std::int64_t step) {
    return std::any_of(periods.begin(), periods.end(), [&](const TimeRange &period) {
        return period.from <= start && start < period.until && (start - period.from) % step == 0;
    });
}

std::vector<Slot> find(const Search &search, const Occupancy &occupancy, std::span<const Staff> staff,
                       const hours::Poll &poll) {
    const Terms &terms = search.terms;
    const std::vector<TimeRange> open = hours::merge(search.periods);
    std::vector<Instant> starts;
    for (const TimeRange &period : search.periods) {
        Instant at = period.from;
        if (at < search.window.from) at += (search.window.from - at + terms.step - 1) / terms.step * terms.step;
        for (; at < period.until && at + terms.duration <= search.window.until && at < search.last_start;
             at += terms.step)
            starts.push_back(at);
    }
    std::sort(starts.begin(), starts.end()); // periods may overlap
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

    std::vector<Slot> found;
    for (std::size_t i = 0; i < starts.size() && found.size() < search.max_slots; ++i) {
        if (poll && i % 64 == 0) poll();
        const TimeRange visible{starts[i], starts[i] + terms.duration};
        if (!hours::covers(open, visible)) continue;
        Slot slot{starts[i], search.places - occupancy.peak(visible), {}};
        if (slot.free_places <= 0) continue;
        const TimeRange claimed{visible.from - terms.buffer_before, visible.until + terms.buffer_after};
        for (const Staff &each : staff)
            if (hours::covers(each.at_work, visible) && !hours::touches(each.busy, claimed))
                slot.staff.push_back(each.id);
        if (search.needs_staff && slot.staff.empty()) continue;
        found.push_back(std::move(slot));
    }
    return found;
}

} // namespace usher::slots
