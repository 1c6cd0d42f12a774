// Free slots: where a service of some length still fits, given who works when, who is busy, and how full the place is.
#pragma once
#include "usher_booking/slots/rules.hpp"

namespace usher::slots {

struct Slot {
    Instant start = 0;
    int free_places = 0;
    std::vector<Uuid> staff; // who could do it, sorted by id
};

struct Search {
    std::vector<TimeRange> periods; // of the location, not merged
    TimeRange window;               // slots lie in it completely
    Starts starts;                  // and begin at one of these
    Uuid service;
    Terms terms;
    int places = 0;
    bool needs_staff = true;
    std::size_t max_slots = 0;
};
/// By start. `staff` is sorted by id.
std::vector<Slot> find(const Search &search, const Occupancy &occupancy, std::span<const Staff> staff,
                       const Poll &poll = {});

} // namespace usher::slots
