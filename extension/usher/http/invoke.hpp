// Calling a routed function by its Oid, whatever other functions have its name.
#pragma once
#include "usher/http/function.hpp"

namespace usher::http {

/// The rows of a result, in the order that they came. Beyond work_mem they lie in a file.
class ResultRows {
public:
    /// Runs the function; what is not given has its default. values and nulls: of all arguments. Plain frame.
    ResultRows(const Function &function, const Datum *values, const bool *nulls, const bool *given);
    /// Columns as the function declares them now.
    [[nodiscard]] TupleDesc columns() const { return columns_; }
    /// The next row, valid until the next call; nullptr behind the last.
    TupleTableSlot *next();
    /// Gives back what the rows needed. After an ERROR the end of the subtransaction does.
    void close();

private:
    TupleDesc columns_;
    EState *state_;
    Tuplestorestate *rows_;
    TupleTableSlot *slot_;
};

} // namespace usher::http
