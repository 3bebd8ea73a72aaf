// bindings/kernel_binding.hpp: makes a row of the table of a kernel's C++ function: its type says
// how each argument is converted and held, and how the result becomes an object. GIL held, but for
// run().
#pragma once

#include <Python.h>

#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "bindings/kernel_arguments.hpp"
#include "bindings/kernel_batches.hpp"
#include "bindings/kernel_bytes.hpp"
#include "bindings/kernel_results.hpp"
#include "bindings/kernel_row.hpp"
#include "bindings/kernel_work.hpp"
#include "kernels/matrix.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::bindings {

namespace detail {

template <class T>
inline constexpr bool kIsOutput = false;
template <class T>
inline constexpr bool kIsOutput<kernels::Matrix<T>> = !std::is_const_v<T>;
template <class T>
inline constexpr bool kIsOutput<kernels::Row<T>> = !std::is_const_v<T>;

template <class T>
struct ItemOf;
template <template <class> class Shaped, class T>
struct ItemOf<Shaped<T>> {
    using Type = T;
};

/// A fresh memoryview of that shape and format, on uninitialised memory; null with an exception
/// set.
PyObject* new_output(const kernels::Shape& shape, int dimensions, char format,
                     std::size_t item_bytes);

template <class T>
inline constexpr char kFormatOf = '?';
template <>
inline constexpr char kFormatOf<double> = 'd';
template <>
inline constexpr char kFormatOf<std::int32_t> = 'i';
template <>
inline constexpr char kFormatOf<std::int64_t> = 'q';

/// What the shape function is asked about: everything but outputs and the stop flag.
template <auto shape_of, class Tuple, std::size_t... index>
auto call_shape(const Tuple& arguments, std::index_sequence<index...>) {
    return shape_of(std::get<index>(arguments).get()...);
}

}  // namespace detail

/// One call of `function`. `shape_of`, if there is one, says from the arguments before the output
/// how large that must be, or why there can be none: before any work is done.
template <auto function, auto shape_of, class Value, class... Parameters>
class BoundKernel final : public KernelWork {
  public:
    explicit BoundKernel(core::Lane lane) : KernelWork(lane) {}
    ~BoundKernel() override { Py_XDECREF(output_); }

    /// Converts and holds the arguments; false with an exception set.
    bool take(const KernelRow& row, PyObject* const* values) {
        return take(row, values, std::index_sequence_for<Parameters...>());
    }

    void run(kernels::Stop stop) noexcept override {
        run(stop, std::index_sequence_for<Parameters...>());
    }

    PyObject* result(bool keep_gil) override {
        if (!result_) {
            PyErr_SetString(PyExc_RuntimeError, "the kernel was never run");
            return nullptr;
        }
        if (!result_->ok()) {
            return raise_kernel_error(result_->error());
        }
        return output_ != nullptr ? Py_NewRef(output_) : convert(result_->value(), keep_gil);
    }

    std::size_t bytes() const override {
        return std::apply([](const auto&... each) { return (each.bytes() + ... + std::size_t{0}); },
                          arguments_);
    }

  private:
    template <std::size_t... index>
    bool take(const KernelRow& row, PyObject* const* values, std::index_sequence<index...>) {
        return (take_one<index>(row, values) && ...);
    }

    template <std::size_t index>
    bool take_one(const KernelRow& row, PyObject* const* values) {
        using Parameter = std::tuple_element_t<index, std::tuple<Parameters...>>;
        auto& argument = std::get<index>(arguments_);
        const char* const name = row.parameters[index].name;
        if (!argument.take(values[index], name)) {
            return false;
        }
        if constexpr (detail::kIsOutput<Parameter>) {
            return give_shape<Parameter>(argument, values[index], name,
                                         std::make_index_sequence<index>());
        } else {
            return true;
        }
    }

    /// Checks the shape of the output that was given, or makes one.
    template <class Parameter, std::size_t... before>
    bool give_shape(Argument<Parameter>& argument, PyObject* value, const char* name,
                    std::index_sequence<before...> sequence) {
        using Item = typename detail::ItemOf<Parameter>::Type;
        const auto shape = detail::call_shape<shape_of>(arguments_, sequence);
        if (!shape.ok()) {
            raise_kernel_error(shape.error());
            return false;
        }
        output_ = value != Py_None
                      ? Py_NewRef(value)
                      : detail::new_output(shape.value(), Argument<Parameter>::kDimensions,
                                           detail::kFormatOf<Item>, sizeof(Item));
        return output_ != nullptr && (value != Py_None || argument.take(output_, name)) &&
               argument.has_shape(shape.value(), name);
    }

    template <std::size_t... index>
    void run(kernels::Stop stop, std::index_sequence<index...>) noexcept {
        result_.emplace(function(std::get<index>(arguments_).get()..., stop));
    }

    std::tuple<Argument<Parameters>...> arguments_;
    std::optional<kernels::Result<Value>> result_;
    PyObject* output_ = nullptr;
};

namespace detail {

/// Takes the stop flag off the end of a kernel's parameters.
template <auto function, auto shape_of, class Value, class Taken, class... Rest>
struct BindingOf;

template <auto function, auto shape_of, class Value, class... Taken>
struct BindingOf<function, shape_of, Value, std::tuple<Taken...>, kernels::Stop> {
    using Type = BoundKernel<function, shape_of, Value, Taken...>;
    using First = Argument<std::tuple_element_t<0, std::tuple<Taken...>>>;
    static constexpr std::size_t kParameters = sizeof...(Taken);
    static constexpr bool kIsBatch = false;
};

/// What ends with bytes to be written returns them, and their number says how many.
template <auto function, auto room_for, class... Taken>
struct BindingOf<function, room_for, std::uint64_t, std::tuple<Taken...>, std::span<std::byte>,
                 kernels::Stop> {
    using Type = BytesKernel<function, room_for, Taken...>;
    static constexpr std::size_t kParameters = sizeof...(Taken);
    static constexpr bool kIsBatch = false;
};

/// What ends with outcomes and a progress counter is a batch over its first parameter.
template <auto function, class Item, class Value, class... Taken>
struct BindingOf<function, nullptr, kernels::Done, std::tuple<std::span<const Item>, Taken...>,
                 std::span<kernels::Result<Value>>, kernels::Progress&, kernels::Stop> {
    using Type = BatchKernel<function, Item, Value, Taken...>;
    static constexpr std::size_t kParameters = 1 + sizeof...(Taken);
    static constexpr bool kIsBatch = true;
};

template <auto function, auto shape_of, class Value, class... Taken, class Next, class... Rest>
struct BindingOf<function, shape_of, Value, std::tuple<Taken...>, Next, Rest...>
    : BindingOf<function, shape_of, Value, std::tuple<Taken..., std::remove_cvref_t<Next>>,
                Rest...> {};

template <auto function, auto shape_of, class Value, class... Parameters>
auto binding_of(kernels::Result<Value> (*)(Parameters...) noexcept)
    -> BindingOf<function, shape_of, Value, std::tuple<>, Parameters...>;

template <class Binding>
KernelWork* make_work(const KernelRow& row, PyObject* const* values) {
    auto* const work = new (std::nothrow) typename Binding::Type(row.lane);
    if (work == nullptr) {
        PyErr_NoMemory();
        return nullptr;
    }
    if (!work->take(row, values)) {
        delete work;
        return nullptr;
    }
    return work;
}

}  // namespace detail

/// What a row says beside the function.
struct About {
    core::Lane lane = core::Lane::cpu;
    std::size_t keeps_gil_below = 0;
    const char* example;
    const char* doc;
};

/// A row of the table.
template <auto function, auto shape_of = nullptr>
KernelRow kernel(const char* name, std::vector<Parameter> parameters, const About& about) {
    using Binding = decltype(detail::binding_of<function, shape_of>(function));
    if (parameters.size() != Binding::kParameters) {
        Py_FatalError(name);  // at import, so every test sees it: the row forgets a parameter
    }
    if (Binding::kIsBatch) {
        parameters.push_back({"return_errors", "False"});
        parameters.push_back({"progress", "None"});
    }
    return {name,      std::move(parameters),      about.lane, about.keeps_gil_below, about.example,
            about.doc, &detail::make_work<Binding>};
}

/// One of several functions that do the same for items of different types, with its shape function
/// or null.
template <auto function, auto shape_of = nullptr>
struct Overload {
    using Binding = decltype(detail::binding_of<function, shape_of>(function));
};

namespace detail {

/// Whether a buffer has the items that the binding's first parameter wants.
template <class Binding>
bool accepts(const HeldBuffer& held) {
    return Binding::First::accepts(held);
}

template <class... Overloads>
KernelWork* make_work_by_items(const KernelRow& row, PyObject* const* values) {
    KernelWork* (*make)(const KernelRow&, PyObject* const*) = nullptr;
    {
        HeldBuffer held;
        if (!held.hold_items(values[0], row.parameters[0].name, false, 1)) {
            return nullptr;
        }
        ((make = make == nullptr && accepts<typename Overloads::Binding>(held)
                     ? &make_work<typename Overloads::Binding>
                     : make),
         ...);
    }
    if (make == nullptr) {
        PyErr_Format(PyExc_TypeError, "%s must be a buffer of int32, int64, float32 or float64",
                     row.parameters[0].name);
        return nullptr;
    }
    return make(row, values);
}

}  // namespace detail

/// A row whose first argument, a buffer of numbers, says by its items which function is called.
template <class... Overloads>
KernelRow kernel_by_items(const char* name, std::vector<Parameter> parameters, const About& about) {
    return {name,
            std::move(parameters),
            about.lane,
            about.keeps_gil_below,
            about.example,
            about.doc,
            &detail::make_work_by_items<Overloads...>};
}

}  // namespace gilpool::bindings
