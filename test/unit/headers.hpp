// What most unit tests include, compiled once for all of them (see the Makefile).
#pragma once
#include "common/standard.hpp"
#include <gtest/gtest.h>
