// Part of harness.cpp, inside class Bench: the manager of a writable unit's AXI4-Lite port.
//
// The operations are done one after another, each channel with random stalls of its own.

#ifdef HAS_LITE
    bool address_offered, data_offered, address_done, data_done, response_stalled, word_stalled;
    uint32_t held_response, held_word, held_word_response;
    bool ahead;  // the channels are those of the next operation: this one waits for its answer

    void start_lite() {
        operation = 0;
        address_offered = data_offered = address_done = data_done = ahead = false;
        response_stalled = word_stalled = false;
    }

    const Operation* current() const {
        return operation < operations() ? &scene->operations[operation] : nullptr;
    }

    void drive_lite(bool over) {
        constexpr uint32_t stall = 20000;
        const Operation* now = over ? nullptr : current() + ahead;
        bool writes = now && now->kind == WRITE, reads = now && (now->kind == READ || now->kind == POLL);
        if (!address_offered && !address_done) address_offered = (writes || reads) && !random.below(stall);
        if (!data_offered && !data_done) data_offered = writes && !random.below(stall);
        top.s_axil_awvalid = writes && address_offered;
        top.s_axil_wvalid = writes && data_offered;
        top.s_axil_arvalid = reads && address_offered;
        constexpr uint32_t all = ADDRESS_MASK;
        top.s_axil_awaddr = (top.s_axil_awvalid ? now->address : random.draw()) & all;
        top.s_axil_araddr = (top.s_axil_arvalid ? now->address : random.draw()) & all;
        top.s_axil_wdata = top.s_axil_wvalid ? now->data : random.draw();
        top.s_axil_wstrb = (top.s_axil_wvalid ? now->mask : random.draw()) & 15;
        top.s_axil_awprot = random.draw() & 7;
        top.s_axil_arprot = random.draw() & 7;
        // In every second scene the manager waits for an answer before it is ready.
        bool waits = h.seed & 1;
        top.s_axil_bready = over || ((!waits || response_stalled) && !random.below(stall));
        top.s_axil_rready = over || ((!waits || word_stalled) && !random.below(stall));
    }

    bool address_taken, data_taken, responded, answered;
    uint32_t response, word, word_response;

    bool sample_lite() {
        address_taken = (top.s_axil_awvalid && top.s_axil_awready) || (top.s_axil_arvalid && top.s_axil_arready);
        data_taken = top.s_axil_wvalid && top.s_axil_wready;
        responded = top.s_axil_bvalid, answered = top.s_axil_rvalid;
        response = top.s_axil_bresp, word = top.s_axil_rdata, word_response = top.s_axil_rresp;
        return address_taken || data_taken || (responded && top.s_axil_bready) || (answered && top.s_axil_rready);
    }

    void after_lite() {
        const Operation* now = current();
        if (response_stalled && (!responded || response != held_response)) fail("a stalled response changed");
        if (word_stalled && (!answered || word != held_word || word_response != held_word_response))
            fail("a stalled word changed");
        response_stalled = responded && !top.s_axil_bready, held_response = response;
        word_stalled = answered && !top.s_axil_rready, held_word = word, held_word_response = word_response;
        if (address_taken) {
            address_offered = false, address_done = true;
            if (now && !ahead && now->kind == WRITE && now->commits) may_change = sent;
        }
        if (data_taken) data_offered = false, data_done = true;
        bool asked = ahead || (address_done && (data_done || (now && now->kind != WRITE)));
        bool written = responded && top.s_axil_bready, read = answered && top.s_axil_rready;
        if (written && !(now && now->kind == WRITE && asked)) fail("a response to no write");
        if (read && !(now && (now->kind == READ || now->kind == POLL) && asked)) fail("an answer to no read");
        if (!now) return;
        if (now->kind == WAIT) {
            if (received >= now->data) operation++;
            return;
        }
        if (now->kind == RESET) {
            wants_reset = true, operation++;
            return;
        }
        if (now->kind == HALT) {
            halted = now->data;
            if (!halted || stalled) operation++;
            return;
        }
        if (!written && !read) {
            // The next access of the same kind is offered while this one's answer is awaited.
            if (asked && !ahead && operation + 1 < operations() && now->kind != POLL && now[1].kind == now->kind &&
                !now[1].commits) {
                ahead = true;
                address_offered = data_offered = address_done = data_done = false;
            }
            return;
        }
        uint32_t found = written ? response : word_response;
        if (found != now->response)
            fail("operation " + std::to_string(operation) + " must be answered by " + std::to_string(now->response) + ", not " + std::to_string(found));
        if (ahead) ahead = false;  // what the channels did was of the next one
        else address_offered = data_offered = address_done = data_done = false;
        if (now->kind == POLL) {
            if (word & 1) return;  // once more
            if (may_change != NONE) must_change = std::min(must_change, sent);
        } else if (now->kind == READ && now->response == 0 && (word & now->mask) != now->data) {
            fail("operation " + std::to_string(operation) + " must read " + std::to_string(now->data) + ", not " + std::to_string(word));
        }
        operation++;
    }
#else
    void start_lite() {}
    void drive_lite(bool) {}
    bool sample_lite() { return false; }
    void after_lite() {}
#endif
