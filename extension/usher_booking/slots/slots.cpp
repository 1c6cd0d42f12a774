#include "usher_booking/slots/slots.hpp"
#include <algorithm>

namespace usher::slots {

namespace {
/// Where the grids of the periods have a start, in order. Periods may overlap.
std::vector<Instant> starts_of(const Search &search) {
    const Terms &terms = search.terms;
    const Instant first = std::max(search.window.from, search.starts.first);
    std::vector<Instant> starts;
    for (const TimeRange &period : search.periods) {
        Instant at = period.from;
        if (at < first) at += (first - at + terms.step - 1) / terms.step * terms.step;
        for (; at < period.until && at + terms.duration <= search.window.until && at <= search.starts.last;
             at += terms.step)
            starts.push_back(at);
    }
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    return starts;
}
} // namespace

std::vector<Slot> find(const Search &search, const Occupancy &occupancy, std::span<const Staff> staff,
                       const Poll &poll) {
    const std::vector<TimeRange> open = hours::merge(search.periods);
    const std::vector<Instant> starts = starts_of(search);
    std::vector<Slot> found;
    for (std::size_t i = 0; i < starts.size() && found.size() < search.max_slots; ++i) {
        if (poll && i % 64 == 0) poll();
        const Duty duty = duty_at(starts[i], search.terms, search.service);
        if (!hours::covers(open, duty.visible)) continue;
        Slot slot{starts[i], free_places(search.places, occupancy, duty.visible), {}};
        if (slot.free_places < 1) continue;
        for (const Staff &each : staff)
            if (!first_broken(each, duty)) slot.staff.push_back(each.id);
        if (search.needs_staff && slot.staff.empty()) continue;
        found.push_back(std::move(slot));
    }
    return found;
}

} // namespace usher::slots
